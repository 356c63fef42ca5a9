//! The longest times without an acknowledgement, for each writer by itself: a cluster that serves
//! everybody but one has failed that one.

use std::time::Duration;

use parking_lot::Mutex;

/// When each writer was last told that something is written.
#[derive(Debug)]
pub(crate) struct Gaps {
    writers: Mutex<Vec<Writer>>,
}

#[derive(Debug, Clone, Copy)]
struct Writer {
    last: Duration,
    longest: Duration,
}

impl Gaps {
    /// A meter for so many writers, which begin now.
    pub(crate) fn new(writers: usize, now: Duration) -> Self {
        let writer = Writer { last: now, longest: Duration::ZERO };
        Self { writers: Mutex::new(vec![writer; writers]) }
    }

    /// A writer was told that something is written.
    pub(crate) fn acknowledged(&self, writer: usize, now: Duration) {
        let writer = &mut self.writers.lock()[writer];
        writer.longest = writer.longest.max(now - writer.last);
        writer.last = now;
    }

    /// The longest gap of any writer since this was asked for last, the one that goes on included.
    pub(crate) fn take(&self, now: Duration) -> Duration {
        let mut writers = self.writers.lock();
        let gaps = writers.iter_mut().map(|writer| {
            let open = now.saturating_sub(writer.last);
            std::mem::take(&mut writer.longest).max(open)
        });
        gaps.max().unwrap_or_default()
    }

    /// When the writer that waits longest was last told something.
    pub(crate) fn oldest(&self) -> Duration {
        self.writers.lock().iter().map(|writer| writer.last).min().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn the_longest_gap_of_any_writer_counts_once() {
        let gaps = Gaps::new(2, ms(0));
        gaps.acknowledged(0, ms(10));
        gaps.acknowledged(1, ms(40));
        gaps.acknowledged(0, ms(60));
        assert_eq!(gaps.take(ms(60)), ms(50));
        gaps.acknowledged(1, ms(70));
        assert_eq!(gaps.take(ms(75)), ms(30), "what was taken is not counted again");
        assert_eq!(gaps.take(ms(500)), ms(440), "a gap that goes on counts up to now");
        assert_eq!(gaps.oldest(), ms(60));
    }
}
