//! Pushes between two ends in one process, over a pair of sockets that may be cut at any byte.

mod basics;
mod cuts;
mod far_ends;
mod garbage;
mod hooks;
mod hostile;
mod late;
mod late_hostile;
mod limits;
mod many;
mod names;
mod objects;
mod peer;
mod required;
mod scene;
