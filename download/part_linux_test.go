package download

import (
	"errors"
	"os"
	"syscall"
	"testing"
)

// TestFindPart_TooManyFiles: if the part cannot be opened because the process
// has too many open files, findPart must return the error, and keep the part
// and its state.
func TestFindPart_TooManyFiles(t *testing.T) {
	dir := t.TempDir()
	newNamedPart(t, dir).release()
	var old syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &old); err != nil {
		t.Fatal(err)
	}
	for _, more := range []uint64{0, 1} { // the number of files that the process may still open: the state file needs one, the part another
		free, err := os.Open(os.DevNull)
		if err != nil {
			t.Fatal(err)
		}
		limit := syscall.Rlimit{Cur: uint64(free.Fd()) + more, Max: old.Max}
		free.Close()
		if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
			t.Fatal(err)
		}
		p, err := newTestJob(dir).findPart()
		claimed := (&part{j: newTestJob(dir)}).claimName(func(string) error { return nil })
		if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &old); err != nil {
			t.Fatal(err)
		}
		if p != nil || !errors.Is(err, syscall.EMFILE) || !errors.Is(claimed, syscall.EMFILE) {
			t.Errorf("findPart() = %+v, %v, claimName() = %v; want too many open files", p, err, claimed)
		}
	}
	p, err := newTestJob(dir).findPart()
	if err != nil || p == nil || p.size.Load() != 500 {
		t.Fatalf("findPart() = %+v, %v; want the part", p, err)
	}
	p.discard()
}

// TestPart_SyncsReplacedState: before a truncated part gets other bytes, its
// new state must be on the disk. A device takes the place of the state file:
// it can be written, but not synced.
func TestPart_SyncsReplacedState(t *testing.T) {
	for name, truncate := range map[string]func(p *part) error{
		"restart":    func(p *part) error { return p.restart(p.state) },
		"keepPrefix": func(p *part) error { return p.keepPrefix() },
	} {
		t.Run(name, func(t *testing.T) {
			p := newNamedPart(t, t.TempDir())
			defer p.discard()
			p.missing = newDivision(p.state.Size, &p.size, []span{{600, 700}})
			p.endSync()
			lock := p.lock
			defer func() { p.lock = lock }()
			device, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
			if err != nil {
				t.Fatal(err)
			}
			defer device.Close()
			p.lock = device
			if err := truncate(p); !errors.Is(err, syscall.EINVAL) {
				t.Errorf("%s() = %v, want the error of the sync", name, err)
			}
		})
	}
}
