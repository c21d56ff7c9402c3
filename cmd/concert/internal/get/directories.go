package get

import (
	"io"
	"os"
)

// directories has what get has learned about the directories of the files
// before the first download. The keys are the values of wanted.dir.
type directories struct {
	readOnly map[string]error           // has the error for each directory in which no file can be created
	listings map[string]map[string]bool // has the names in some directories, see minWanted and maxListed
}

const (
	minWanted = 4    // the minimum number of files of the list in a directory whose names are read
	maxListed = 1000 // the maximum number of names that are read from a directory
)

// lookAtDirectories looks at the directories of a list. It skips a directory
// that could not be created: there may be a named pipe at its path, and opening
// a named pipe blocks.
func (g *getter) lookAtDirectories(list []*wanted) directories {
	d := directories{make(map[string]error), make(map[string]map[string]bool)}
	files := make(map[string]int)
	for _, w := range list {
		if g.missing[w.dir] != nil {
			continue
		}
		files[w.dir]++
		if n := files[w.dir]; n == 1 {
			if err := checkWritable(w.directory(g.dir)); err != nil {
				d.readOnly[w.dir] = &readOnlyError{err}
			}
		} else if n == minWanted {
			d.listings[w.dir] = listing(w.directory(g.dir))
		}
	}
	return d
}

// listing returns the names in a directory, or nil if there are many of them or
// an error occurs.
func listing(path string) map[string]bool {
	dir, err := os.Open(path)
	if err != nil {
		return nil
	}
	defer dir.Close()
	all := make(map[string]bool)
	for {
		names, err := dir.Readdirnames(maxListed)
		for _, name := range names {
			all[name] = true
		}
		if err == io.EOF {
			return all
		}
		if err != nil || len(all) > maxListed {
			return nil
		}
	}
}

// readOnlyError is the error of creating a file in a directory that is
// read-only.
type readOnlyError struct{ error }

// Unwrap returns the error of the directory.
func (e *readOnlyError) Unwrap() error { return e.error }
