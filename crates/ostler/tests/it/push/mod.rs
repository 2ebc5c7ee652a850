//! Pushes by the binary: to a directory, and through a real ssh server.

mod crowd;
mod from;
mod hostile;
mod kills;
mod late;
mod local;
mod owner;
mod owner_killed;
mod ssh;
mod stock_push;
mod tunnel;
