//! Publishing, against stores in memory and on disk; and fetching, from servers that fail and that lie.

#[cfg(test)]
mod ahead;
#[cfg(test)]
mod conformance;
#[cfg(test)]
mod distant;
#[cfg(test)]
mod faults;
#[cfg(test)]
mod faulty;
#[cfg(test)]
mod fixture;
#[cfg(test)]
mod http;
#[cfg(test)]
mod links;
#[cfg(test)]
mod plans;
#[cfg(test)]
mod push;
#[cfg(test)]
mod retire;
#[cfg(test)]
mod rollback;
#[cfg(test)]
mod simulation;
#[cfg(test)]
mod sweep;
#[cfg(test)]
mod sweep_faults;
