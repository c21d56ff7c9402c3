package get

import "container/list"

// levels has hosts in the order in which they get a free slot. A host with
// fewer slots is before the others. Hosts with equally many slots have the
// order in which they came.
type levels struct {
	kind  int // index of the place of each host
	hosts []*list.List
}

// place is where a host is in levels.
type place struct {
	level   int // number of slots; -1 if the host is not in levels
	element *list.Element
}

// put puts a host at the end of a level, or removes it if the level is -1. A
// host that is in the level already keeps its place.
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
