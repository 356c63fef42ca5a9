//! How the leader of a group spreads partitions over its members. Pure.
//!
//! Both ways give the same result as Java's, so that members of either kind can lead a group.

use std::collections::BTreeMap;
use std::sync::Arc;

use flumen_client::TopicPartition;

/// A way to spread partitions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Assignor {
    /// Topic by topic, neighbouring partitions to the same member: members get partitions of the
    /// same number of topics that have equally many.
    Range,
    /// All partitions in turn: as even as can be over all topics.
    RoundRobin,
}

/// A member, as the leader sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Member {
    pub(crate) member_id: String,
    pub(crate) instance_id: Option<String>,
    pub(crate) topics: Vec<String>,
}

/// The partitions of each member.
pub(crate) type Assignments = BTreeMap<String, Vec<TopicPartition>>;

impl Assignor {
    /// The name members agree on.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Range => "range",
            Self::RoundRobin => "roundrobin",
        }
    }

    /// The assignor of this name, or of Kafka's class for it.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        match name.rsplit('.').next() {
            Some("range" | "RangeAssignor") => Some(Self::Range),
            Some("roundrobin" | "RoundRobinAssignor") => Some(Self::RoundRobin),
            _ => None,
        }
    }

    /// Spreads the partitions of all topics that members subscribed to.
    pub(crate) fn assign(
        self,
        members: &[Member],
        partition_counts: &BTreeMap<String, i32>,
    ) -> Assignments {
        let mut members: Vec<&Member> = members.iter().collect();
        members.sort_by_key(|member| seniority(member));
        let mut assignments: Assignments =
            members.iter().map(|member| (member.member_id.clone(), Vec::new())).collect();
        let topics = partition_counts.iter();
        match self {
            Self::Range => topics.for_each(|(topic, count)| {
                range(topic, *count, &members, &mut assignments);
            }),
            Self::RoundRobin => round_robin(partition_counts, &members, &mut assignments),
        }
        assignments
    }
}

/// Static members come first, by the name they gave themselves; so a restart changes nothing.
fn seniority(member: &Member) -> (bool, &str) {
    match &member.instance_id {
        Some(instance_id) => (false, instance_id),
        None => (true, &member.member_id),
    }
}

fn range(topic: &str, count: i32, members: &[&Member], assignments: &mut Assignments) {
    let subscribed: Vec<_> =
        members.iter().filter(|member| member.topics.iter().any(|name| name == topic)).collect();
    let Ok(member_count @ 1..) = i32::try_from(subscribed.len()) else { return };
    let name: Arc<str> = topic.into();
    let (each, with_one_more) = (count / member_count, count % member_count);
    let mut next = 0;
    for (position, member) in (0..).zip(subscribed) {
        let end = next + each + i32::from(position < with_one_more);
        let partitions = (next..end).map(|index| TopicPartition::new(Arc::clone(&name), index));
        assignments.entry(member.member_id.clone()).or_default().extend(partitions);
        next = end;
    }
}

fn round_robin(
    partition_counts: &BTreeMap<String, i32>,
    members: &[&Member],
    assignments: &mut Assignments,
) {
    let mut turn = members.iter().cycle();
    for (topic, count) in partition_counts {
        let is_subscribed = |member: &Member| member.topics.iter().any(|name| name == topic);
        if !members.iter().any(|member| is_subscribed(member)) {
            continue;
        }
        let name: Arc<str> = topic.as_str().into();
        for index in 0..*count {
            let member = turn.find(|member| is_subscribed(member)).expect("one is subscribed");
            let partition = TopicPartition::new(Arc::clone(&name), index);
            assignments.entry(member.member_id.clone()).or_default().push(partition);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(id: &str, instance_id: Option<&str>, topics: &[&str]) -> Member {
        Member {
            member_id: id.into(),
            instance_id: instance_id.map(str::to_owned),
            topics: topics.iter().map(|topic| (*topic).to_owned()).collect(),
        }
    }

    fn check(
        assignor: Assignor,
        members: &[Member],
        counts: &[(&str, i32)],
        expected: &[(&str, &[&str])],
    ) {
        let counts = counts.iter().map(|(topic, count)| ((*topic).to_owned(), *count)).collect();
        let assigned: Vec<(String, Vec<String>)> = assignor
            .assign(members, &counts)
            .into_iter()
            .map(|(id, partitions)| (id, partitions.iter().map(ToString::to_string).collect()))
            .collect();
        let expected: Vec<(String, Vec<String>)> = expected
            .iter()
            .map(|(id, partitions)| {
                ((*id).to_owned(), partitions.iter().map(|name| (*name).to_owned()).collect())
            })
            .collect();
        assert_eq!(assigned, expected);
    }

    #[test]
    fn ranges_are_neighbours_topic_by_topic() {
        let both = [member("b", None, &["x", "y"]), member("a", None, &["x", "y"])];
        check(
            Assignor::Range,
            &both,
            &[("x", 3), ("y", 3)],
            &[("a", &["x-0", "x-1", "y-0", "y-1"]), ("b", &["x-2", "y-2"])],
        );
        check(Assignor::Range, &both, &[("x", 1)], &[("a", &["x-0"]), ("b", &[])]);
    }

    #[test]
    fn round_robin_goes_on_from_topic_to_topic() {
        let members = [
            member("a", None, &["x"]),
            member("b", None, &["x", "y"]),
            member("c", None, &["x", "y", "z"]),
        ];
        // The example in the documentation of Java's assignor.
        check(
            Assignor::RoundRobin,
            &members,
            &[("x", 1), ("y", 2), ("z", 3)],
            &[("a", &["x-0"]), ("b", &["y-0"]), ("c", &["y-1", "z-0", "z-1", "z-2"])],
        );
    }

    #[test]
    fn static_members_come_first_by_their_own_names() {
        let members = [
            member("a", None, &["x"]),
            member("z-1", Some("two"), &["x"]),
            member("y-1", Some("one"), &["x"]),
        ];
        check(
            Assignor::Range,
            &members,
            &[("x", 3)],
            &[("a", &["x-2"]), ("y-1", &["x-0"]), ("z-1", &["x-1"])],
        );
    }

    #[test]
    fn topics_nobody_wants_are_left_out() {
        let members = [member("a", None, &["x"])];
        for assignor in [Assignor::Range, Assignor::RoundRobin] {
            check(assignor, &members, &[("w", 5), ("x", 1)], &[("a", &["x-0"])]);
        }
    }
}
