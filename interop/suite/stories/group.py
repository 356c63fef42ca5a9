"""A group of three: one leaves, one is killed, and the last has everything."""

from __future__ import annotations

from ..clients.driven import Driven, produce
from ..member import Ledger, Member, check_alive
from ..processes import Failed, wait_for
from ..records import Record
from ..report import Stage, check, story_of_each_driver

PARTITIONS = 6
#: Records to each partition, each time.
ROUND = 10
#: The shortest that brokers allow: so long a killed member keeps its partitions.
SESSION_MS = 6000
#: For a rebalance on a busy machine, the session of a killed member included.
PATIENCE_S = 60


@story_of_each_driver("a group of three, one leaves and one is killed")
def group_of_three(stage: Stage, client: Driven) -> None:
    act = Act(client)
    try:
        act.play(stage)
    finally:
        for member in act.members:
            member.kill()


class Act:
    """One client's group, with what was written for it and what it read."""

    def __init__(self, client: Driven) -> None:
        self.client = client
        self.topic = f"group-{client.name}"
        self.group = f"{self.topic}-group"
        self.ledger = Ledger()
        self.members: list[Member] = []
        self.written = 0
        self.driver = client.driver()

    def play(self, stage: Stage) -> None:
        self.driver.call("create_topic", topic=self.topic, partitions=PARTITIONS, config={})
        for name in ("first", "second", "third"):
            self.members.append(
                Member(self.client, name, self.group, self.topic, self.ledger, SESSION_MS)
            )
        self.wait_for_shares(2)
        with stage.where_supported():
            self.check_described()
        self.feed()
        self.wait_for_commits()

        self.leaves(self.members[0])
        self.wait_for_shares(3)
        self.feed()
        self.wait_for_commits()

        uncommitted = self.dies(self.members[0])
        self.wait_for_shares(6)
        self.wait_for_commits()
        self.check_reread(uncommitted)
        self.feed()
        self.wait_for_commits()
        check(not self.ledger.faults, "\n".join(self.ledger.faults[:10]))

        self.leaves(self.members[0])
        with stage.where_supported():
            found = self.driver.call("describe_group", group=self.group)
            check((found["state"], found["members"]) == ("Empty", []), f"described as {found}")
        each = self.written // PARTITIONS
        for partition in range(PARTITIONS):
            found = self.driver.call(
                "committed", group=self.group, topic=self.topic, partition=partition
            )
            check(found["offset"] == each, f"committed is {found}, not {each}")
        self.driver.close()

    def feed(self) -> None:
        """Writes to every partition, and waits until the members have read it."""
        first = self.written // PARTITIONS
        numbers = range(first, first + ROUND)
        produce(self.driver, self.topic, [
            Record(f"{number}".encode(), partition=partition)
            for number in numbers
            for partition in range(PARTITIONS)
        ])
        self.written += ROUND * PARTITIONS
        self.wait("all is read", lambda: self.ledger.count() == self.written)

    def leaves(self, member: Member) -> None:
        self.members.remove(member)
        member.leave()

    def dies(self, member: Member) -> list[tuple[int, int]]:
        """Kills a member that has read without committing; gives what it had read so."""
        partitions = member.partitions
        member.commits = False
        before = self.written // PARTITIONS
        self.feed()
        self.members.remove(member)
        member.kill()
        after = self.written // PARTITIONS
        return [(partition, offset) for partition in partitions for offset in range(before, after)]

    def check_reread(self, uncommitted: list[tuple[int, int]]) -> None:
        """What a killed member did not commit comes again, to the one that is left."""
        (last,) = self.members
        for partition, offset in uncommitted:
            readers = self.ledger.readers(partition, offset)
            check(readers[-1] == last.name, f"{partition}/{offset} was read by {readers} only")

    def check_described(self) -> None:
        found = self.driver.call("describe_group", group=self.group)
        shares = [member["partitions"] for member in found["members"]]
        every = [[self.topic, partition] for partition in range(PARTITIONS)]
        check(found["state"] == "Stable", f"the group is {found['state']}")
        check(len(shares) == len(self.members), f"described as {found}")
        check(sorted(sum(shares, [])) == every, f"described as {found}")

    def wait_for_shares(self, each: int) -> None:
        """Waits until every partition has one owner, and every member as many as the others."""

        def are_shared() -> bool:
            shares = [list(member.partitions) for member in self.members]
            every = sorted(sum(shares, []))
            return every == list(range(PARTITIONS)) and {len(share) for share in shares} == {each}

        self.wait(f"{len(self.members)} members have {each} partitions each", are_shared)

    def wait_for_commits(self) -> None:
        self.wait("all is committed", lambda: self.ledger.committed() == self.written)

    def wait(self, what: str, condition) -> None:
        def holds() -> bool:
            check_alive(self.members)
            return condition()

        try:
            wait_for(what, holds, timeout_s=PATIENCE_S)
        except Failed as late:
            shares = {member.name: member.partitions for member in self.members}
            read, committed = self.ledger.count(), self.ledger.committed()
            known = f"of {self.written} records {read} are read, {committed} committed"
            raise Failed(f"{late}; {shares}, {known}") from None
