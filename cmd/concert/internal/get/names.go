package get

import (
	"fmt"
	"path"
	"runtime"
	"strings"
	"sync"
)

// foldsCase is whether the file systems of this system usually ignore case in
// names.
const foldsCase = runtime.GOOS == "windows" || runtime.GOOS == "darwin"

// unique merges the entries of a list that describe the same file. It returns
// an error if two different files would have the same path. If fold is set,
// paths that differ only in case are the same.
func unique(list []*wanted, fold bool) ([]*wanted, error) {
	key := func(p string) string {
		if fold {
			return strings.ToLower(p)
		}
		return p
	}
	byPath := make(map[string]int, len(list))
	kept := list[:0]
	for _, w := range list {
		i, twice := byPath[key(w.path())]
		if !twice {
			byPath[key(w.path())] = len(kept)
			kept = append(kept, w)
			continue
		}
		if err := kept[i].merge(w); err != nil {
			return nil, err
		}
	}
	directories := map[string]bool{}
	for _, w := range kept {
		for d := w.dir; d != "" && d != "." && !directories[d]; d = path.Dir(d) {
			directories[d] = true
			if other, ok := byPath[key(d)]; ok {
				return nil, fmt.Errorf("%s would be the file %q, and %s needs a directory of this name; %s",
					kept[other].where(), d, w.where(), kept[other].renaming())
			}
		}
	}
	return kept, nil
}

// names has the names that servers have given to files.
type names struct {
	mu     sync.Mutex
	byPath map[string]*wanted // guarded by mu
}

// claim records the name of a file. It returns an error if another file of the
// list has this name. Otherwise the second file could replace the first file,
// or seem to be present.
func (n *names) claim(w *wanted, name string) error {
	key := w.dir + "/" + name
	if foldsCase {
		key = strings.ToLower(key)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.byPath == nil {
		n.byPath = make(map[string]*wanted)
	}
	if other := n.byPath[key]; other != nil && other != w {
		return fmt.Errorf("%s has this name, too; download one of them into another directory, or without --content-disposition", other.shown())
	}
	n.byPath[key] = w
	return nil
}

// merge adds another entry of the same path to w. Both must have the same URL,
// and no different digests.
func (w *wanted) merge(other *wanted) error {
	if w.url != other.url {
		return fmt.Errorf("%s and %s would both be %q; %s", w.where(), other.where(), other.path(), other.renaming())
	}
	for _, d := range other.digests() {
		if err := w.addDigest(d); err != nil {
			return fmt.Errorf("%s and %s are the same file with %w", w.where(), other.where(), err)
		}
	}
	for _, m := range other.mirrors() {
		w.addMirror(m)
	}
	return nil
}
