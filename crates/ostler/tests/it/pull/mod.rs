//! `pull` over HTTP, from repositories that stock made; checked by stock.

mod deltas;
mod faults;
mod hostile;
mod killed;
mod local;
mod mirror;
mod modes;
mod partial;
mod scene;
