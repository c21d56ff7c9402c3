package download

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// syncGroup syncs the complete unnamed files of one file system. To sync one
// file, the system waits for the disk several times. To sync the whole file
// system, it waits about as often. So the files that complete during another
// sync are synced together, by one call of syncfs(2). The call has the same
// effect as a sync of each file:
//
//  1. A Get appends its file to waiting. If no goroutine is running, it starts
//     one.
//  2. The goroutine takes all the files that are waiting, and syncs them. It
//     repeats this until no file is waiting.
//
// syncfs also writes what other programs have written to the file system. So a
// group syncs each file by itself while a lot of data is dirty.
type syncGroup struct {
	mu      sync.Mutex // guards waiting and running
	waiting []*unsynced
	running bool
}

// unsynced is a complete unnamed file.
type unsynced struct {
	file *os.File
	// opened is the number of the file in the order of their creation. It is
	// assigned between the creation and the first write.
	opened uint64
	// synced receives the error of the sync, or errAlone if the Get must sync
	// the file.
	synced chan error
}

// errAlone reports that a file is not synced together with others.
var errAlone = errors.New("not synced in a group")

// syncGroups has a *syncGroup for each device, or nil for a device whose files
// are always synced alone.
var syncGroups sync.Map

// filesOpened is the number of unnamed files so far.
var filesOpened atomic.Uint64

// nextOpened returns the number for an unnamed file. The caller must have
// created the file before.
func nextOpened() uint64 { return filesOpened.Add(1) }

// syncUnnamed syncs an unnamed file. opened is its number.
func syncUnnamed(f *os.File, opened uint64, info fs.FileInfo) error {
	g := groupOf(f, info)
	if g == nil {
		return f.Sync()
	}
	u := &unsynced{f, opened, make(chan error, 1)}
	g.mu.Lock()
	g.waiting = append(g.waiting, u)
	if !g.running {
		g.running = true
		go g.run()
	}
	g.mu.Unlock()
	err := <-u.synced
	if err == errAlone {
		return f.Sync()
	}
	return err
}

// groupOf returns the group of the file system of a file, or nil.
func groupOf(f *os.File, info fs.FileInfo) *syncGroup {
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return nil
	}
	if g, ok := syncGroups.Load(stat.Dev); ok {
		return g.(*syncGroup)
	}
	var g *syncGroup
	if canSyncTogether(f) {
		g = &syncGroup{}
	}
	actual, _ := syncGroups.LoadOrStore(stat.Dev, g)
	return actual.(*syncGroup)
}

// canSyncTogether reports whether syncfs has the same effect as a sync of each
// file. Since Linux 5.8, syncfs reports the errors of earlier writes. Network
// file systems and those of user space do less in a syncfs, and only ext4 has
// been measured.
func canSyncTogether(f *os.File) bool {
	var kind unix.Statfs_t
	if unix.Fstatfs(int(f.Fd()), &kind) != nil || kind.Type != unix.EXT4_SUPER_MAGIC {
		return false
	}
	var name unix.Utsname
	if unix.Uname(&name) != nil {
		return false
	}
	var major, minor int
	n, _ := fmt.Sscanf(unix.ByteSliceToString(name.Release[:]), "%d.%d", &major, &minor)
	return n == 2 && (major > 5 || major == 5 && minor >= 8)
}

// run syncs the files that are waiting, until there are none.
func (g *syncGroup) run() {
	for {
		g.mu.Lock()
		files := g.waiting
		g.waiting = nil
		g.running = len(files) > 0
		g.mu.Unlock()
		if len(files) == 0 {
			return
		}
		err := errAlone
		if len(files) > 1 && dirtyBytes() <= maxDirty {
			err = syncTogether(files)
		} else if len(files) == 1 {
			err = files[0].file.Sync()
		}
		for _, u := range files {
			u.synced <- err
		}
	}
}

// syncTogether syncs all the files with one call, or returns errAlone.
func syncTogether(files []*unsynced) error {
	// syncfs reports the errors of earlier writes since its file was opened.
	// The first file was opened before the first write to each other file.
	first := slices.MinFunc(files, func(a, b *unsynced) int { return cmp.Compare(a.opened, b.opened) })
	if unix.Syncfs(int(first.file.Fd())) != nil {
		// The error may concern a file of another program. The sync of each
		// file returns the errors of this file.
		return errAlone
	}
	return nil
}

// maxDirty is the maximum number of bytes of the whole system that are not on
// the disk, for a sync of the file system.
const maxDirty = 64 << 20

// dirtyPause is the time for which dirtyBytes returns the same number.
const dirtyPause = 100 * time.Millisecond

var dirty struct {
	sync.Mutex // guards the other fields
	bytes      int64
	until      time.Time
}

// dirtyBytes returns the number of bytes of the whole system that are not on
// the disk.
func dirtyBytes() int64 {
	dirty.Lock()
	defer dirty.Unlock()
	if now := time.Now(); now.After(dirty.until) {
		text, err := os.ReadFile("/proc/meminfo")
		dirty.bytes, dirty.until = maxDirty+1, now.Add(dirtyPause)
		if err == nil {
			dirty.bytes = memoryInfo(text, "Dirty:") + memoryInfo(text, "Writeback:")
		}
	}
	return dirty.bytes
}

// memoryInfo returns a value of /proc/meminfo in bytes. If the text does not
// have the value, memoryInfo returns a number above maxDirty.
func memoryInfo(text []byte, key string) int64 {
	_, rest, found := bytes.Cut(text, []byte("\n"+key))
	value, _, _ := bytes.Cut(bytes.TrimSpace(rest), []byte(" "))
	n, err := strconv.ParseInt(string(value), 10, 64)
	if !found || err != nil {
		return maxDirty + 1
	}
	return n << 10
}
