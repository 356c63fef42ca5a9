//! Groups as people see them: list and describe.

use bytes::Bytes;

use super::classic::{Group, GroupState};
use super::shard::GroupShard;

/// Kafka's name for the kind of group that this is.
pub const GROUP_TYPE: &str = "classic";

/// A group in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedGroup {
    /// Its id.
    pub group_id: String,
    /// Empty if nobody ever joined.
    pub protocol_type: String,
    /// Where it is in its life.
    pub state: GroupState,
}

/// A group with its members.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DescribedGroup {
    /// Where it is in its life.
    pub state: GroupState,
    /// Empty if nobody ever joined.
    pub protocol_type: String,
    /// The protocol chosen; empty unless the group is stable.
    pub protocol: String,
    /// Its members.
    pub members: Vec<DescribedMember>,
}

/// A member as people see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DescribedMember {
    /// Its id.
    pub member_id: String,
    /// Set for static members.
    pub instance_id: Option<String>,
    /// What the client calls itself.
    pub client_id: String,
    /// Where it is.
    pub client_host: String,
    /// Its subscription; empty unless the group is stable.
    pub metadata: Bytes,
    /// What it was assigned last.
    pub assignment: Bytes,
}

impl GroupShard {
    /// All groups.
    pub fn list(&self) -> Vec<ListedGroup> {
        let listed = |group: &Group| ListedGroup {
            group_id: group.id.clone(),
            protocol_type: group.protocol_type.clone().unwrap_or_default(),
            state: group.state,
        };
        self.groups.values().filter(|group| self.is_seen(group)).map(listed).collect()
    }

    /// One group with its members.
    pub fn describe(&self, group_id: &str) -> Option<DescribedGroup> {
        self.groups.get(group_id).filter(|group| self.is_seen(group)).map(Group::describe)
    }

    /// Whether people see the group: as in Kafka, one that only a refused commit has named is not
    /// seen before the log has gone on.
    fn is_seen(&self, group: &Group) -> bool {
        !group.is_void() || group.made_after < self.replayed
    }
}

impl Group {
    /// While the group is on the move no protocol is agreed on, and without one there is no telling
    /// a member's metadata. What a member was assigned last is shown in every state, as in Kafka.
    fn describe(&self) -> DescribedGroup {
        let is_stable = self.state == GroupState::Stable;
        let protocol = self.protocol_name.clone().filter(|_| is_stable).unwrap_or_default();
        let members = self.members.values().map(|member| DescribedMember {
            member_id: member.id.clone(),
            instance_id: member.instance_id.clone(),
            client_id: member.client_id.clone(),
            client_host: member.client_host.clone(),
            metadata: if is_stable { member.metadata(&protocol) } else { Bytes::new() },
            assignment: member.assignment.clone(),
        });
        DescribedGroup {
            state: self.state,
            protocol_type: self.protocol_type.clone().unwrap_or_default(),
            members: members.collect(),
            protocol,
        }
    }
}
