//! One of the two brokers: its connections, and what only this broker's answers can tell.

use std::collections::BTreeMap;

use anyhow::Result;
use flumen_protocol::Uuid;

use crate::line::Line;

#[derive(Debug)]
pub(crate) struct Side {
    pub(crate) name: &'static str,
    pub(crate) line: Line,
    /// A second connection, for what waits until the first one has done something.
    pub(crate) second_line: Line,
    /// Topic ids are random; each side has its own for a name.
    pub(crate) topic_ids: BTreeMap<String, Uuid>,
    /// The member ids that joins were given, by what the operation calls the member.
    pub(crate) member_ids: BTreeMap<&'static str, String>,
    /// The id and epoch of the open fetch session.
    pub(crate) session: (i32, i32),
    /// The last producer id that was handed out.
    pub(crate) producer_id: i64,
}

impl Side {
    pub(crate) fn connect(name: &'static str, address: &str) -> Result<Self> {
        Ok(Self {
            name,
            line: Line::open(name, address)?,
            second_line: Line::open(name, address)?,
            topic_ids: BTreeMap::new(),
            member_ids: BTreeMap::new(),
            session: (0, 0),
            producer_id: -1,
        })
    }

    /// The id of a topic, or one that no topic has.
    pub(crate) fn topic_id(&self, name: &str) -> Uuid {
        const NOBODYS: [u8; 16] = *b"no such topic id";
        self.topic_ids.get(name).copied().unwrap_or(Uuid::from_bytes(NOBODYS))
    }

    /// The id that a member was given; empty before its first join.
    pub(crate) fn member_id(&self, member: &str) -> String {
        self.member_ids.get(member).cloned().unwrap_or_default()
    }
}
