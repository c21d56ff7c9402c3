package jobs

import "sync"

// turns lets attempts pass in the order of their numbers, from 1 up. It is
// needed if there are more workers than jobs that may run at the same time.
// The workers send their jobs to the supervisor in this order, and the
// supervisor starts them in the order of the messages. So for -j 1, jobs run
// in the order of the inputs.
//
// A worker waits only for workers that have taken their jobs earlier.
type turns struct {
	mu      sync.Mutex
	passed  int                   // guarded by mu: the largest number up to which all numbers have passed
	waiting map[int]chan struct{} // guarded by mu: closed when the number has its turn
}

// wait waits until all lower numbers have passed. The caller must call pass
// later; it may call it several times.
func (t *turns) wait(n int) (pass func()) {
	t.mu.Lock()
	var turn chan struct{}
	if t.passed < n-1 {
		if t.waiting == nil {
			t.waiting = map[int]chan struct{}{}
		}
		turn = make(chan struct{})
		t.waiting[n] = turn
	}
	t.mu.Unlock()
	if turn != nil {
		<-turn
	}
	return sync.OnceFunc(func() { t.pass(n) })
}

func (t *turns) pass(n int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.passed = n
	if next := t.waiting[n+1]; next != nil {
		delete(t.waiting, n+1)
		close(next)
	}
}
