//! What goes wrong with one host: it loses power, is killed, paused, or robbed of its disk; its clocks jump; its disk
//! slows down, hangs, fills up, fails, rots.

use super::{MILLI, Probe, Program, World};
use base::{GroupId, NodeId, Term};
use node::api::Input;
use storage::memory::MemoryDisk;

impl<P: Program> World<P> {
    /// How many hosts there are.
    pub(crate) fn host_count(&self) -> usize {
        self.hosts.len()
    }

    /// Whether a process runs there and isn't paused.
    pub(crate) fn is_running(&self, host: usize) -> bool {
        self.hosts[host].process.is_some() && !self.hosts[host].is_paused()
    }

    /// The host that leads a group and its term, if one does; that of the latest term, should several believe it.
    pub(crate) fn leader_of(&self, group: GroupId) -> Option<(usize, Term)> {
        let leaders = self.copies_of(group).filter(|(_, probe)| probe.leads);
        leaders.map(|(host, probe)| (host, probe.term)).max_by_key(|(_, term)| *term)
    }

    /// The hosts that keep a copy and don't lead, the one that is furthest on first.
    pub(crate) fn followers_of(&self, group: GroupId) -> Vec<usize> {
        let mut followers: Vec<(usize, Probe)> =
            self.copies_of(group).filter(|(_, probe)| !probe.leads).collect();
        followers.sort_by_key(|(_, probe)| std::cmp::Reverse(probe.last));
        followers.into_iter().map(|(host, _)| host).collect()
    }

    /// The hosts that keep a copy of a group, and what is seen of it there.
    pub(crate) fn copies_of(&self, group: GroupId) -> impl Iterator<Item = (usize, Probe)> {
        self.hosts.iter().enumerate().filter_map(move |(number, host)| {
            let mut found = None;
            host.process.as_ref()?.program.probe(&mut |probe| {
                if probe.group == group {
                    found = Some((number, probe));
                }
            });
            found
        })
    }

    /// The power goes: what wasn't synced is lost, kept or torn, and nobody tells the others.
    pub(crate) fn lose_power(&mut self, host: usize) {
        self.tear_batch(host);
        for platter in &self.hosts[host].platters {
            platter.crash(&mut self.chances.mishaps);
        }
        self.end_process(host, false);
    }

    /// The process is killed: what was written stays, and its machine tells the others.
    pub(crate) fn kill(&mut self, host: usize) {
        self.hosts[host].platters.iter().for_each(|platter| platter.disk.kill());
        self.end_process(host, true);
    }

    /// The process is asked to stop.
    pub(crate) fn shut_down(&mut self, host: usize) {
        if let Some(process) = &mut self.hosts[host].process {
            process.stopping = true;
            self.give(host, Input::Shutdown);
        }
    }

    /// The process starts again, if none runs.
    pub(crate) fn start_again(&mut self, host: usize) {
        if self.hosts[host].process.is_none() && self.hosts[host].nonce.is_none() {
            self.plan_boot(host, self.now + MILLI);
        }
    }

    /// The process gets no turn until `until`; with `after_turn`, that begins between a turn and its effects.
    pub(crate) fn pause(&mut self, host: usize, until: u64, after_turn: bool) {
        let this = &mut self.hosts[host];
        this.paused_until = Some(until);
        this.pause_after_turn = after_turn;
    }

    /// The pause is over. What has come meanwhile is read in any order of the sockets.
    pub(crate) fn resume(&mut self, host: usize) {
        let this = &mut self.hosts[host];
        this.paused_until = None;
        this.pause_after_turn = false;
        this.hindered = self.now;
        self.shuffle_inbox(host);
        self.plan_turn(host, self.now);
    }

    /// The wall clock jumps, or is set right.
    pub(crate) fn set_wall_clock(&mut self, host: usize, error_ms: i64) {
        self.hosts[host].clock.wall_error_ms = error_ms;
    }

    /// The monotonic clock runs differently from now on.
    pub(crate) fn set_drift(&mut self, host: usize, ppm: i64) {
        self.hosts[host].clock.drift(self.now, ppm);
    }

    /// The disk takes so many times longer.
    pub(crate) fn slow_disk(&mut self, host: usize, slowness: u64) {
        self.hosts[host].disk.slowness = slowness;
    }

    /// The disk does nothing until `until`.
    pub(crate) fn hang_disk(&mut self, host: usize, until: u64) {
        self.hosts[host].disk.hung_until = until;
    }

    /// The disk has room for `more` bytes only, or for any number again.
    pub(crate) fn fill_disk(&mut self, host: usize, more: Option<u64>) {
        let this = &mut self.hosts[host];
        this.disk.failing |= more.is_some();
        this.disk.broken |= more.is_some();
        for platter in &this.platters {
            platter.disk.set_capacity(more.map(|more| platter.disk.used_bytes() + more));
        }
    }

    /// One of the host's disks fails after so many operations, and goes on failing until it is repaired.
    pub(crate) fn fail_disk(&mut self, host: usize, mirror: usize, after: u64) {
        let this = &mut self.hosts[host];
        this.disk.failing = true;
        this.disk.broken = true;
        let mirrors = this.platters.len();
        this.platters[mirror % mirrors].disk.fail_nth(after, true);
    }

    /// Failing disks work again, and full ones have room.
    pub(crate) fn repair_disk(&mut self, host: usize) {
        self.hosts[host].disk.broken = false;
        for platter in &self.hosts[host].platters {
            platter.disk.end_faults();
            platter.disk.set_capacity(None);
        }
    }

    /// Bits flip on one of the host's disks, in up to `places` places of any files. Says where.
    pub(crate) fn rot(&mut self, host: usize, mirror: usize, places: u64) -> Vec<String> {
        let mut flipped = Vec::new();
        for _ in 0..places {
            let names = self.disk_of(host, mirror).names();
            let name = self.chances.mishaps.pick(&names).cloned();
            flipped.extend(name.and_then(|name| self.flip(host, mirror, &name, u64::MAX)));
        }
        flipped
    }

    /// A bit flips in what the log of one of the host's disks was given last. Says where.
    pub(crate) fn rot_tail(&mut self, host: usize, mirror: usize) -> Option<String> {
        let disk = self.disk_of(host, mirror);
        let written =
            |name: &String| disk.content(name).is_some_and(|content| content.iter().any(|&byte| byte != 0));
        let newest = disk.names().into_iter().rfind(|name| name.starts_with("log-") && written(name))?;
        self.flip(host, mirror, &newest, 60)
    }

    fn disk_of(&self, host: usize, mirror: usize) -> &MemoryDisk {
        let platters = &self.hosts[host].platters;
        &platters[mirror % platters.len()].disk
    }

    /// Flips one bit of a file, at most `back` bytes before the end of what was written.
    fn flip(&mut self, host: usize, mirror: usize, name: &str, back: u64) -> Option<String> {
        self.hosts[host].disk.rotten = true;
        let content = self.disk_of(host, mirror).content(name)?;
        let written = content.iter().rposition(|&byte| byte != 0)? as u64 + 1;
        let rng = &mut self.chances.mishaps;
        let (offset, mask) = (written - 1 - rng.below(written.min(back)), 1 << rng.below(8));
        self.disk_of(host, mirror).rot(name, offset, mask).then(|| format!("{name} at {offset}"))
    }

    /// The host loses everything and comes back with empty disks, to join as a new node.
    pub(crate) fn replace(&mut self, host: usize) {
        self.end_process(host, false);
        let this = &mut self.hosts[host];
        for platter in &this.platters {
            platter.wipe();
        }
        this.disk.rotten = false;
        this.disk.failing = false;
        this.disk.broken = false;
        if !self.settings.bugs.wiped_under_old_name {
            this.node = NodeId::NONE;
        }
        self.plan_boot(host, self.now + 20 * MILLI);
    }

    /// Everything that is wrong with hosts is put right.
    pub(super) fn heal_hosts(&mut self) {
        for host in 0..self.hosts.len() {
            self.repair_disk(host);
            let this = &mut self.hosts[host];
            this.disk.slowness = 1;
            this.disk.hung_until = 0;
            this.clock.wall_error_ms = this.clock.wall_error_ms.clamp(-50, 50);
            if this.is_paused() {
                self.resume(host);
            }
            if self.hosts[host].process.as_ref().is_some_and(|process| process.stopping) {
                self.kill(host);
            }
            self.start_again(host);
        }
    }
}
