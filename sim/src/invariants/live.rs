//! What must hold at every moment, one file each, as something that watches views of a cluster.

mod broker_epochs_grow;
mod committed_is_final;
mod ends_are_in_order;
mod fenced_brokers_lead_nothing;
mod high_watermark_grows;
mod leavers_stay_eligible;
mod members_hold_the_committed;
mod metadata_is_one_history;
mod moves_keep_enough;
mod one_controller_per_term;
mod one_leader_per_epoch;
mod partitions_keep_a_member;
mod silent_brokers_are_fenced;

use crate::view::View;

/// Watches one property.
pub trait Live: std::fmt::Debug {
    /// Takes the next view in. The error names what is violated.
    ///
    /// # Errors
    /// The property does not hold any more.
    fn observe(&mut self, view: &View) -> Result<(), String>;
}

/// All of them, by name.
#[derive(Debug)]
pub struct Watch(Vec<(&'static str, Box<dyn Live>)>);

impl Default for Watch {
    fn default() -> Self {
        Self(vec![
            ("broker epochs grow", Box::<broker_epochs_grow::State>::default()),
            ("committed records are final", Box::<committed_is_final::State>::default()),
            ("ends are in order", Box::new(ends_are_in_order::State)),
            ("fenced brokers lead nothing", Box::<fenced_brokers_lead_nothing::State>::default()),
            ("high watermarks grow", Box::<high_watermark_grows::State>::default()),
            ("leavers stay eligible", Box::<leavers_stay_eligible::State>::default()),
            ("members hold the committed", Box::<members_hold_the_committed::State>::default()),
            ("metadata is one history", Box::<metadata_is_one_history::State>::default()),
            ("moves keep enough", Box::<moves_keep_enough::State>::default()),
            ("one controller per term", Box::<one_controller_per_term::State>::default()),
            ("one leader per epoch", Box::<one_leader_per_epoch::State>::default()),
            ("partitions keep a member", Box::new(partitions_keep_a_member::State)),
            ("silent brokers are fenced", Box::<silent_brokers_are_fenced::State>::default()),
        ])
    }
}

impl Watch {
    /// Takes the next view in, and lists what does not hold any more.
    pub fn observe(&mut self, view: &View) -> Vec<String> {
        let observe = |(name, live): &mut (&str, Box<dyn Live>)| {
            let what = live.observe(view).err()?;
            Some(format!("{name} ({:.3} s): {what}", view.at.as_secs_f64()))
        };
        self.0.iter_mut().filter_map(observe).collect()
    }
}

#[cfg(test)]
mod tests;
