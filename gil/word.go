package gil

// The word of a lock says in one number who holds it and whether somebody waits, so that a lock that nobody else
// wants is taken by one compare-and-swap and let go of by another, like a sync.Mutex.
//
//	turn << 2 | state
//
// Each Do and Run has a turn, a number of its own, from 1 up. While the lock is held the word has the holder's; while it
// is free, the highest that there was, so that who takes it knows the next one.
//
//	free --> held --> contended, with arrows back: from held to free by the holder, from
//	contended to held when the last who waits has got the lock or has given up. To
//	contended and from there it is changed under mu.
const (
	free = iota
	held
	contended
)

func wordOf(turn uint64, state uint64) uint64 { return turn<<2 | state }
func turnOf(word uint64) uint64               { return word >> 2 }
func stateOf(word uint64) uint64              { return word & 3 }

// setState changes the state and leaves the turn.
func (l *Lock) setState(state uint64) {
	for {
		w := l.word.Load()
		if l.word.CompareAndSwap(w, wordOf(turnOf(w), state)) {
			return
		}
	}
}

// turns returns how many turns there were, for the word that the holder sees: his own may be an old one, that
// he has come back for, and then issued has the number.
func (l *Lock) turns(word uint64) uint64 { return max(turnOf(word), l.issued.Load()) }

// take takes the lock, which the word says is free, for a turn that goes on, or for a new one if it is 0. It reports
// false if the word has changed meanwhile.
func (l *Lock) take(word, turn uint64) bool {
	if turn == 0 {
		return l.word.CompareAndSwap(word, wordOf(turnOf(word)+1, held))
	}
	if !l.word.CompareAndSwap(word, wordOf(turn, held)) {
		return false
	}
	l.cameBack(turn, turnOf(word))
	return true
}

// pass gives the lock, which is contended, to the next: to a turn that goes on, or to a new one if it is 0. The caller
// holds mu and the lock.
func (l *Lock) pass(turn uint64) {
	turns := l.turns(l.word.Load())
	if turn == 0 {
		l.word.Store(wordOf(turns+1, contended))
		return
	}
	l.word.Store(wordOf(turn, contended))
	l.cameBack(turn, turns)
}

// cameBack takes note of a turn that goes on, when there were so many. Who had the lock before is who came back last, or, if
// there were new turns since, the newest.
func (l *Lock) cameBack(turn, turns uint64) {
	before := l.last
	if turns != l.issued.Load() {
		before = turns
	}
	if before != turn {
		l.returns.Store(l.returns.Load() + 1)
	}
	l.issued.Store(turns)
	l.last = turn
}
