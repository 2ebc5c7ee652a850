//! What a pusher offers before it is asked for anything.

use crate::channel::{Input, unexpected};
use crate::error::{Result, TransferError};
use ostler_format::Checksum;
use ostler_format::wire::{Message, SignedRef, Update};
use std::io::{self, Read};

/// The most refs of a push, and the most commits that its chains name, or signatures that are told of what does not move.
pub(crate) const MAX_UPDATES: usize = 1 << 16;
pub(crate) const MAX_COMMITS: usize = 1 << 18;

/// The most bytes of the names of refs of which signatures are told: what is told of them goes to the pusher and into the log.
pub(crate) const MAX_TOLD_NAMES: usize = 8 << 20;

/// What is offered.
#[derive(Debug, Default)]
pub(super) struct Offered {
    pub(super) updates: Vec<Update>,
    pub(super) chains: Vec<Vec<Checksum>>,
    /// What the pusher has beside commits whose refs do not move.
    pub(super) beside: Vec<SignedRef>,
    pub(super) dry_run: bool,
}

impl Offered {
    /// Takes updates and chains; `None` where the pusher goes without offering anything.
    pub(super) fn take(input: &mut Input<impl Read>) -> Result<Option<Self>> {
        let mut offered = Self::default();
        let (mut digests, mut names) = (0, 0);
        let mut commits = 0;
        let mut goes_on = false;
        let mut is_first = true;
        loop {
            let message = match input.next_or_end()? {
                None if is_first => return Ok(None),
                None => return Err(TransferError::Cut(io::ErrorKind::UnexpectedEof.into())),
                Some(message) => message,
            };
            is_first = false;
            match message {
                Message::Offer(offer) => {
                    offered.dry_run |= offer.dry_run;
                    offered.updates.extend(offer.updates);
                }
                Message::Chain { commits: page, more } => {
                    commits += page.len();
                    match offered.chains.last_mut().filter(|_| goes_on) {
                        Some(chain) => chain.extend(page),
                        None => offered.chains.push(page),
                    }
                    goes_on = more;
                }
                Message::Beside(refs) => {
                    names += refs
                        .iter()
                        .map(|signed| signed.name.as_str().len())
                        .sum::<usize>();
                    digests += refs.iter().map(|signed| signed.signatures.len()).sum::<usize>();
                    offered.beside.extend(refs);
                }
                Message::Offered => return Ok(Some(offered)),
                other => return Err(unexpected(&other)),
            }
            let refs = offered.updates.len() + offered.beside.len();
            if refs.max(offered.chains.len()) > MAX_UPDATES
                || commits.max(digests) > MAX_COMMITS
                || names > MAX_TOLD_NAMES
            {
                return Err(TransferError::Protocol(format!(
                    "it offers more than {MAX_UPDATES} refs, or {MAX_COMMITS} commits or signatures, or names that are longer than any"
                )));
            }
        }
    }
}
