//! How near a summary is to what clients take.

/// The largest summary that all clients in use fetch, in bytes.
const CLIENTS_LIMIT: u64 = 10 << 20;

/// The shares, in percent, from which on it is told.
const TOLD: [u64; 3] = [100, 80, 50];

/// Returns what is to be said of the size of a summary, if it is large.
pub fn size_note(size: u64) -> Option<String> {
    let share = TOLD
        .into_iter()
        .find(|share| size.saturating_mul(100) >= CLIENTS_LIMIT * share)?;
    let limit = CLIENTS_LIMIT >> 20;
    Some(if share == 100 {
        format!(
            "the summary has {size} bytes: clients that take no more than {limit} MiB cannot pull any more; fewer refs or deltas, or core.no-deltas-in-summary, make it smaller"
        )
    } else {
        format!("the summary has {size} bytes, more than {share} % of the {limit} MiB that clients take")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_summaries_are_told_in_three_steps() {
        for (size, said) in [
            (0, None),
            ((5 << 20) - 1, None),
            (5 << 20, Some("50 %")),
            (8 << 20, Some("80 %")),
            ((10 << 20) - 1, Some("80 %")),
            (10 << 20, Some("cannot pull")),
            (u64::MAX, Some("cannot pull")),
        ] {
            let note = size_note(size);
            assert_eq!(note.is_some(), said.is_some(), "{size}");
            assert!(
                note.unwrap_or_default().contains(said.unwrap_or_default()),
                "{size}"
            );
        }
    }
}
