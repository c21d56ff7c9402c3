package get

import "container/list"

// levels has hosts in the order in which they get a free slot. Hosts with
// fewer slots come first. Among hosts with the same number of slots, the host
// that was put first comes first.
type levels struct {
	kind  int // which of the two places of a host belongs to these levels
	hosts []*list.List
}

// place is where a host is in levels.
type place struct {
	level   int // number of slots; -1 if the host is not in levels
	element *list.Element
}

// put puts a host at the end of a level, or removes it if the level is -1. If
// the host is in this level already, put does not move it.
func (l *levels) put(h *host, level int) {
	p := &h.places[l.kind]
	if p.level == level {
		return
	}
	if p.level >= 0 {
		l.hosts[p.level].Remove(p.element)
	}
	p.level, p.element = level, nil
	if level < 0 {
		return
	}
	for len(l.hosts) <= level {
		l.hosts = append(l.hosts, list.New())
	}
	p.element = l.hosts[level].PushBack(h)
}

// first returns the host that gets the next slot, or nil if there is none.
func (l *levels) first() *host {
	for _, hosts := range l.hosts {
		if e := hosts.Front(); e != nil {
			return e.Value.(*host)
		}
	}
	return nil
}
