//! Publishing, against stores in memory and on disk.

#[cfg(test)]
mod faults;
#[cfg(test)]
mod fixture;
#[cfg(test)]
mod plans;
