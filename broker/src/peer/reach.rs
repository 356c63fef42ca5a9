//! Which brokers cannot be reached at the moment, so that an operator hears once that one is lost
//! and once that it is back. Pure.

use std::collections::BTreeMap;
use std::time::Duration;

/// What is worth telling.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum News {
    /// A broker cannot be reached.
    Lost,
    /// A broker is back after that time.
    Back(Duration),
}

/// The brokers that cannot be reached, each with the time since when.
#[derive(Debug, Default)]
pub(super) struct Reach {
    lost: BTreeMap<i32, Duration>,
}

impl Reach {
    /// An attempt to reach a broker has failed. There are as many attempts as there are purposes.
    pub(super) fn on_failure(&mut self, node_id: i32, now: Duration) -> Option<News> {
        let is_news = !self.lost.contains_key(&node_id);
        self.lost.entry(node_id).or_insert(now);
        is_news.then_some(News::Lost)
    }

    /// A broker has answered.
    pub(super) fn on_answer(&mut self, node_id: i32, now: Duration) -> Option<News> {
        let since = self.lost.remove(&node_id)?;
        Some(News::Back(now.saturating_sub(since)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_loss_is_told_once_and_so_is_the_return() {
        let mut reach = Reach::default();
        assert_eq!(reach.on_answer(1, SECOND), None);
        assert_eq!(reach.on_failure(1, 2 * SECOND), Some(News::Lost));
        assert_eq!(reach.on_failure(1, 3 * SECOND), None);
        // Another broker is another matter.
        assert_eq!(reach.on_failure(2, 3 * SECOND), Some(News::Lost));
        assert_eq!(reach.on_answer(1, 7 * SECOND), Some(News::Back(5 * SECOND)));
        assert_eq!(reach.on_answer(1, 8 * SECOND), None);
        assert_eq!(reach.on_failure(1, 9 * SECOND), Some(News::Lost));
    }
}
