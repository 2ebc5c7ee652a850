//! How a repository behaves, with stock ostree as the judge.

#[cfg(test)]
mod checkout;
#[cfg(test)]
mod closures;
#[cfg(test)]
mod commit;
#[cfg(test)]
mod config;
#[cfg(test)]
mod create;
#[cfg(test)]
mod deltas;
#[cfg(test)]
mod diff;
#[cfg(test)]
mod fixture;
#[cfg(test)]
mod fsck;
#[cfg(test)]
mod graph;
#[cfg(test)]
mod hostile;
#[cfg(test)]
mod lock;
#[cfg(test)]
mod loose;
#[cfg(test)]
mod objects;
#[cfg(test)]
mod paths;
#[cfg(test)]
mod prune;
#[cfg(test)]
mod prune_oracle;
#[cfg(test)]
mod pull_local;
#[cfg(test)]
mod refs;
#[cfg(test)]
mod rev;
#[cfg(test)]
mod staging;
#[cfg(test)]
mod store_fixture;
#[cfg(test)]
mod summary;
#[cfg(test)]
mod summary_signed;
#[cfg(test)]
mod transaction;
#[cfg(test)]
mod trust;
#[cfg(test)]
mod walk;
