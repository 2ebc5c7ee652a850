//! Behaviour of the format crate as its users see it.

#[cfg(test)]
mod deltas;
#[cfg(test)]
mod gvariant;
#[cfg(test)]
mod keys;
#[cfg(test)]
mod round_trips;
#[cfg(test)]
mod stock;
#[cfg(test)]
mod stock_names;
#[cfg(test)]
mod stock_summary;
