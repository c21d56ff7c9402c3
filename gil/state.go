package gil

// The word of a lock has the holder's turn and the state in one number. So,
// like a sync.Mutex, a lock without waiters is acquired with one
// compare-and-swap and released with another.
//
//	turn << 2 | state
//
// Each Do and Run has a turn: a number that no other Do or Run has, from 1
// up. While the lock is held, the word has the turn of the holder. While it
// is free, the word has the highest turn so far, from which the next holder
// computes its turn.
//
//	free <--> held <--> contended
//
//	free to held        a goroutine acquires the lock
//	held to free        the holder releases it
//	held to contended   under mu: the first waiter enters the queue
//	contended to held   under mu: the last waiter has acquired the lock or given up
const (
	free = iota
	held
	contended
)

func wordOf(turn uint64, state uint64) uint64 { return turn<<2 | state }
func turnOf(word uint64) uint64               { return word >> 2 }
func stateOf(word uint64) uint64              { return word & 3 }

// setState changes the state and keeps the turn.
func (l *Lock) setState(state uint64) {
	for {
		w := l.word.Load()
		if l.word.CompareAndSwap(w, wordOf(turnOf(w), state)) {
			return
		}
	}
}

// turns returns the number of turns that have begun. word is the word of the
// lock. If the holder has acquired the lock again for an older turn, the
// word has the number of this turn. Then the number of turns is in issued.
func (l *Lock) turns(word uint64) uint64 { return max(turnOf(word), l.issued.Load()) }

// take acquires the lock for a turn. turn is its number, or 0 for a new turn.
// word is the word of the free lock. take reports false if the word of the lock
// has changed.
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

// pass hands the lock to a turn. turn is its number, or 0 for a new turn. The
// caller holds mu and the lock, which is contended.
func (l *Lock) pass(turn uint64) {
	turns := l.turns(l.word.Load())
	if turn == 0 {
		l.word.Store(wordOf(turns+1, contended))
		return
	}
	l.word.Store(wordOf(turn, contended))
	l.cameBack(turn, turns)
}

// cameBack records that a turn has acquired the lock again. turns is the number
// of turns that have begun. If a turn has begun since the last call of
// cameBack, the previous holder was the newest turn. Otherwise the previous
// holder was l.last.
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
