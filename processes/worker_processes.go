package processes

// WorkerProcesses returns the process ids of the workers, by the number of the
// worker. Events of tasks have the same numbers.
func (p *Pool) WorkerProcesses() map[int]int {
	p.made()
	p.mu.Lock()
	defer p.mu.Unlock()
	ids := make(map[int]int, len(p.active))
	for number, w := range p.active {
		if w != nil && !w.isDeadLocked() { // the id of a dead process may belong to another process
			ids[number] = w.pid
		}
	}
	return ids
}
