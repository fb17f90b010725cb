//! What must hold of one epoch, told by a plain list of records with flags. Naive on purpose: it shares no code and no
//! idea with the machine, and looks at every record every time.

use millrace::config::settings::Order;

pub(crate) type Check = Result<(), String>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    Waiting,
    Running,
    Enqueued,
    Done,
}

/// What can be heard of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Word {
    Enqueued,
    Acked,
    Lost,
    Panicked,
    /// Its actor panicked with nothing at hand, and held other records too.
    Unseen,
    /// The same, and it was the only one that the actor held.
    UnseenAlone,
    Undelivered,
    /// It failed, and a failure stops the service.
    Halted,
}

#[derive(Debug)]
pub(crate) struct Rec {
    pub(crate) offset: i64,
    /// What may be committed once this and all before it are done.
    pub(crate) next: i64,
    pub(crate) lane: u64,
    pub(crate) bytes: usize,
    pub(crate) read_at: u64,
    pub(crate) state: State,
    pub(crate) attempts: u32,
    /// Panics at which it was at hand.
    pub(crate) strikes: u32,
    /// Was held in a panic with nothing at hand.
    pub(crate) unseen: bool,
    /// Runs with nothing beside it in the process.
    pub(crate) sole: bool,
    /// The panic that it was given up for.
    pub(crate) verdict: Option<u64>,
}

impl Rec {
    fn suspect(&self, state: State) -> bool {
        (self.strikes > 0 || self.unseen) && self.state == state
    }
}

#[derive(Debug)]
pub(crate) struct Truth {
    order: Order,
    pub(crate) start: i64,
    pub(crate) recs: Vec<Rec>,
    /// Since it drains: when the last record may be started.
    drain: Option<u64>,
    pub(crate) now: u64,
    pub(crate) committed: i64,
    /// The second panic was just heard: the machine has to give the record up now.
    pub(crate) to_give_up: Option<usize>,
    /// For a lane that could start: which lanes started since.
    passed: Vec<(u64, Vec<u64>)>,
}

impl Truth {
    pub(crate) fn new(order: Order, start: i64) -> Self {
        Self {
            order,
            start,
            recs: Vec::new(),
            drain: None,
            now: 0,
            committed: start,
            to_give_up: None,
            passed: Vec::new(),
        }
    }

    pub(crate) fn drain(&mut self, starts: u64) {
        self.drain.get_or_insert(self.now + starts);
        self.forget_turns();
    }

    /// Nothing more is started.
    pub(crate) fn halt(&mut self) {
        self.drain = Some(0);
    }

    pub(crate) fn draining(&self) -> bool {
        self.drain.is_some()
    }

    /// A drain starts only what goes before something that was started, only for a while, and only if nothing is suspect.
    fn drain_lets(&self, seq: usize) -> bool {
        let Some(until) = self.drain else { return true };
        let suspects = self.recs.iter().any(|rec| rec.suspect(State::Waiting));
        self.now < until && !suspects && self.recs.iter().skip(seq + 1).any(|rec| rec.attempts > 0)
    }

    /// Nothing runs, and nothing that the drain starts waits.
    pub(crate) fn drained(&self) -> bool {
        let under_way = self.count(State::Running) + self.count(State::Enqueued);
        let waits = |seq: usize| self.recs[seq].state == State::Waiting && self.drain_lets(seq);
        self.draining() && under_way == 0 && !(0..self.recs.len()).any(waits)
    }

    pub(crate) fn read(&mut self, offset: i64, key: Option<u8>, bytes: usize, read_at: u64) {
        let lane = match (self.order, key) {
            (Order::Partition, _) => 0,
            (_, Some(key)) => 1 + u64::from(key),
            (_, None) => 1000 + self.recs.len() as u64,
        };
        self.recs.push(Rec {
            offset,
            next: offset + 1,
            lane,
            bytes,
            read_at,
            state: State::Waiting,
            attempts: 0,
            strikes: 0,
            unseen: false,
            sole: false,
            verdict: None,
        });
    }

    pub(crate) fn ends_at(&mut self, position: i64) {
        let end = self.recs.last_mut().map_or(&mut self.start, |last| &mut last.next);
        *end = position.max(*end);
    }

    /// True when this word changes something.
    pub(crate) fn heeds(&self, seq: usize, word: Word) -> bool {
        match self.recs.get(seq).map(|rec| rec.state) {
            None | Some(State::Done) => false,
            Some(State::Waiting) => word == Word::Acked,
            Some(State::Running) => word != Word::Undelivered,
            Some(State::Enqueued) => matches!(word, Word::Acked | Word::Undelivered | Word::Halted),
        }
    }

    pub(crate) fn hear(&mut self, seq: usize, word: Word, panic: u64) {
        // Even of a record that is finished by now: something has failed.
        if word == Word::Halted {
            self.halt();
        }
        if !self.heeds(seq, word) {
            return;
        }
        let rec = &mut self.recs[seq];
        match word {
            Word::Enqueued => rec.state = State::Enqueued,
            Word::Acked => {
                rec.state = State::Done;
                // It may have been the one that its lane waited with.
                self.forget_turns();
            }
            Word::Lost | Word::Undelivered | Word::Halted => rec.state = State::Waiting,
            Word::Panicked => {
                rec.strikes += 1;
                if rec.strikes < 2 {
                    rec.state = State::Waiting;
                } else {
                    rec.verdict = Some(panic);
                    self.to_give_up = Some(seq);
                }
            }
            Word::UnseenAlone if rec.sole && rec.verdict.is_none() => {
                rec.verdict = Some(panic);
                self.to_give_up = Some(seq);
            }
            Word::Unseen | Word::UnseenAlone => {
                rec.unseen = true;
                rec.state = State::Waiting;
            }
        }
    }

    pub(crate) fn count(&self, state: State) -> usize {
        self.recs.iter().filter(|rec| rec.state == state).count()
    }

    pub(crate) fn unfinished(&self) -> impl Iterator<Item = &Rec> {
        self.recs.iter().filter(|rec| rec.state != State::Done)
    }

    /// Records that are done behind one that is not.
    pub(crate) fn span(&self) -> usize {
        self.recs.iter().skip_while(|rec| rec.state == State::Done).filter(|rec| rec.state == State::Done).count()
    }

    pub(crate) fn safe(&self) -> i64 {
        self.recs.iter().take_while(|rec| rec.state == State::Done).last().map_or(self.start, |rec| rec.next)
    }

    /// True when neither its own lane nor a drain keeps the record from starting.
    fn may_start(&self, seq: usize) -> bool {
        self.lane_lets(seq) && self.drain_lets(seq)
    }

    /// True when nothing of its own lane keeps the record from starting.
    fn lane_lets(&self, seq: usize) -> bool {
        let rec = &self.recs[seq];
        let held_up = |(i, other): (usize, &Rec)| {
            i != seq
                && other.lane == rec.lane
                && (other.state == State::Running || (i < seq && other.state == State::Waiting))
        };
        rec.state == State::Waiting && (self.order == Order::None || !self.recs.iter().enumerate().any(held_up))
    }

    /// Whether the record to be started next wants the process for itself.
    pub(crate) fn wants_process(&self) -> bool {
        let waiting = self.recs.iter().find(|rec| rec.suspect(State::Waiting));
        waiting.is_some_and(|rec| rec.unseen) && !self.draining()
    }

    /// A record that has the process for itself, as it should.
    pub(crate) fn runs_sole(&self) -> bool {
        self.recs.iter().any(|rec| rec.state == State::Running && rec.sole)
    }

    /// True when something has to be started as long as there is room.
    pub(crate) fn could_start(&self) -> bool {
        if self.recs.iter().any(|rec| rec.suspect(State::Running)) {
            return false;
        }
        if !self.draining() && self.recs.iter().any(|rec| rec.suspect(State::Waiting)) {
            return self.count(State::Running) == 0;
        }
        (0..self.recs.len()).any(|seq| self.may_start(seq))
    }

    /// The machine starts (or gives up, which takes the same way) a record.
    pub(crate) fn start(&mut self, seq: usize) -> Check {
        let Some(rec) = self.recs.get(seq) else { return Err(format!("{seq} was never read")) };
        if rec.state != State::Waiting {
            return Err(format!("{seq} started while it is {:?}", rec.state));
        }
        if !self.drain_lets(seq) {
            return Err(format!("{seq} started while draining"));
        }
        if !self.lane_lets(seq) {
            return Err(format!("{seq} started before its turn in its lane"));
        }
        let suspects = self.recs.iter().any(|rec| rec.suspect(State::Waiting) || rec.suspect(State::Running));
        if suspects && self.count(State::Running) > 0 {
            return Err(format!("{seq} started beside another, and one of them is suspect"));
        }
        self.take_turn(seq, suspects)?;
        self.recs[seq].sole = self.recs[seq].unseen;
        self.recs[seq].state = State::Running;
        self.recs[seq].attempts += 1;
        Ok(())
    }

    /// No lane starts twice while another could have started all the time.
    fn take_turn(&mut self, seq: usize, suspects: bool) -> Check {
        if suspects {
            self.passed.clear();
            return Ok(());
        }
        let lane = self.recs[seq].lane;
        self.passed.retain(|(waits, _)| *waits != lane);
        for (waits, passed) in &mut self.passed {
            if passed.contains(&lane) {
                return Err(format!("lane {lane} started twice while lane {waits} waited for its turn"));
            }
            passed.push(lane);
        }
        Ok(())
    }

    fn waiting_lanes(&self) -> Vec<u64> {
        (0..self.recs.len()).filter(|seq| self.may_start(*seq)).map(|seq| self.recs[seq].lane).collect()
    }

    /// Lanes that cannot start any more wait for no turn.
    fn forget_turns(&mut self) {
        let waits = self.waiting_lanes();
        self.passed.retain(|(lane, _)| waits.contains(lane));
    }

    /// After a step: which lanes wait for their turn from now on.
    pub(crate) fn note_turns(&mut self) {
        self.forget_turns();
        for lane in self.waiting_lanes() {
            if !self.passed.iter().any(|(other, _)| *other == lane) {
                self.passed.push((lane, Vec::new()));
            }
        }
    }

    /// The machine says that everything below `position` is finished.
    pub(crate) fn commit(&mut self, position: i64) -> Check {
        if let Some(rec) = self.unfinished().find(|rec| rec.offset < position) {
            return Err(format!("committed {position}, but offset {} is {:?}", rec.offset, rec.state));
        }
        if position <= self.committed {
            return Err(format!("committed {position} after {}", self.committed));
        }
        if position != self.safe() {
            return Err(format!("committed {position}, but {} is safe", self.safe()));
        }
        self.committed = position;
        Ok(())
    }
}
