//! `pull` over HTTP, from repositories that stock made, served by nginx; checked by stock.

mod modes;
mod scene;
