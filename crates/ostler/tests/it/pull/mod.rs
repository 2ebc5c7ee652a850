//! `pull` over HTTP, from repositories that stock or we made; checked by stock.

mod cut_short;
mod deltas;
mod exchange;
mod faults;
mod generations;
mod guarded;
mod hostile;
mod killed;
mod kinds;
mod local;
mod matrix;
mod mirror;
mod modes;
mod names;
mod partial;
mod scene;
mod unfinished;
