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

// syncGroup syncs the complete unnamed files of one file system. A sync of one
// file waits for the disk several times, and a sync of the whole file system
// waits about as often. So the files that complete during another sync are
// synced together, by one call of syncfs(2). This call has the same effect as
// a sync of each file. The steps are:
//
//  1. A Get appends its file to waiting. If no goroutine is running, it starts
//     one.
//  2. The goroutine takes all the files that are waiting, and syncs them. It
//     repeats this until no file is waiting.
//
// syncfs also writes the dirty data of other programs to the disk. So while
// there is a lot of dirty data, a group syncs each file by itself.
type syncGroup struct {
	mu      sync.Mutex // guards waiting and running
	waiting []*unsynced
	running bool
}

// unsynced is a complete unnamed file.
type unsynced struct {
	file *os.File
	// opened is a number from nextOpened, which tells the order in which files
	// were created. The file gets it after its creation and before its first
	// write.
	opened uint64
	// synced receives the error of the sync. The error errAlone means that the
	// Get itself must sync the file.
	synced chan error
}

// errAlone reports that files were not synced together. The Get must sync its
// file.
var errAlone = errors.New("not synced in a group")

// syncGroups maps devices to their *syncGroup. It is nil for a device whose
// files are always synced alone.
var syncGroups sync.Map

// filesOpened is the last number that nextOpened returned.
var filesOpened atomic.Uint64

// nextOpened returns a larger number in each call. A caller must create an
// unnamed file first, and call nextOpened then.
func nextOpened() uint64 { return filesOpened.Add(1) }

// syncUnnamed syncs an unnamed file. opened is the number that the file got
// from nextOpened.
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
// file. Since Linux 5.8, syncfs reports the errors of earlier writes. It
// returns true for ext4 alone, the only file system that has been measured.
// The syncfs of network file systems and of file systems in user space does
// less.
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
	// For the descriptor that it is given, syncfs reports the errors of writes
	// since this descriptor was opened. The first file was opened before the
	// first write to any of the other files, so its descriptor reports all
	// errors.
	first := slices.MinFunc(files, func(a, b *unsynced) int { return cmp.Compare(a.opened, b.opened) })
	if unix.Syncfs(int(first.file.Fd())) != nil {
		// The error may concern a file of another program. errAlone makes each
		// Get sync its file, which returns the errors of this file alone.
		return errAlone
	}
	return nil
}

// maxDirty is the limit for a sync of the file system: if the whole system has
// more bytes that are not on the disk, each file is synced alone.
const maxDirty = 64 << 20

// dirtyPause is the time for which dirtyBytes returns a number again without a
// new measurement.
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
