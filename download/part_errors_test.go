package download

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// newTestJob returns a job for the file file.bin in a directory.
func newTestJob(dir string) *job {
	return &job{Request: Request{Name: "file.bin"}, client: defaultClient, dir: dir}
}

// newNamedPart returns a part with a name that has received 500 bytes.
func newNamedPart(t *testing.T, dir string) *part {
	t.Helper()
	p := &part{j: newTestJob(dir), state: state{ETag: `"1"`, Size: 1000}}
	if err := p.createNamed(); err != nil {
		t.Fatal(err)
	}
	if err := p.write(make([]byte, 500)); err != nil {
		t.Fatal(err)
	}
	return p
}

// TestPart_StateFails: a part whose state cannot be written must be removed.
// The next Get would regard it as a file of another program, and could not use
// its name.
func TestPart_StateFails(t *testing.T) {
	dir := t.TempDir()
	// This date has no representation in JSON, so the state cannot be written.
	p := &part{j: newTestJob(dir), state: state{ETag: `"1"`, Modified: time.Date(10_000, 1, 1, 0, 0, 0, 0, time.UTC)}}
	if err := p.createNamed(); err == nil {
		t.Error("createNamed() = nil, want an error")
	}
	if names, err := filepath.Glob(dir + "/*"); err != nil || len(names) != 0 {
		t.Errorf("in the directory are %q, %v", names, err)
	}
}

// TestPart_RenameFails: on Windows, the file is closed before the rename. If
// the rename fails, the complete part must stay for the next Get.
func TestPart_RenameFails(t *testing.T) {
	for _, discard := range []bool{false, true} {
		dir := t.TempDir()
		p := newNamedPart(t, dir)
		p.endSync()
		if err := p.close(); err != nil {
			t.Fatal(err)
		}
		if discard {
			p.discard()
			if names, err := filepath.Glob(dir + "/*"); err != nil || len(names) != 0 {
				t.Errorf("after discard, in the directory are %q, %v", names, err)
			}
			continue
		}
		if kept := p.release(); kept != 500 {
			t.Errorf("release() = %d, want 500", kept)
		}
		p, err := newTestJob(dir).findPart()
		if err != nil || p == nil || p.size.Load() != 500 || p.state.Synced != 500 {
			t.Fatalf("findPart() = %+v, %v; want 500 bytes", p, err)
		}
		p.discard()
	}
}

// TestPart_ImpossibleDate: a date that the file system cannot store must not
// make a complete download fail, and the receipt must have the date that was
// stored.
func TestPart_ImpossibleDate(t *testing.T) {
	for _, date := range []time.Time{time.Date(1601, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)} {
		dir := t.TempDir()
		j := newTestJob(dir)
		u, err := ParseURL("http://host/file.bin")
		if err != nil {
			t.Fatal(err)
		}
		j.urls = append(j.urls, u)
		p, err := j.newPart(state{ETag: `"1"`, Modified: date, Size: 5})
		if err != nil {
			t.Fatal(err)
		}
		if err := p.write([]byte("bytes")); err != nil {
			t.Fatal(err)
		}
		if err := p.commit(false); err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, "file.bin")
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if getAttribute(path, receiptName) != nil && readReceipt(path, info) == nil {
			t.Errorf("the receipt is not valid for the stored date %v", info.ModTime())
		}
	}
}

// TestPart_Unreadable: if the part cannot be read for a comparison, the error
// is not one of the network, and all connections stop.
func TestPart_Unreadable(t *testing.T) {
	for _, several := range []bool{false, true} {
		p := newNamedPart(t, t.TempDir())
		j := p.j
		j.part, j.urls = p, []*url.URL{{Scheme: "http", Host: "host"}}
		p.file.Close()
		ctx, cancel := context.WithCancelCause(t.Context())
		resp := &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: io.NopCloser(bytes.NewReader(make([]byte, 1000)))}
		var err error
		if several {
			pieces := &transfer{j: j, pieces: newDivision(p.state.Size, &p.size, nil), ctx: ctx, stop: cancel}
			c := &connection{t: pieces}
			err = c.receive(pieces.pieces.takeFirst(), &reply{ctx: ctx, cancel: cancel, resp: resp, end: 1000})
			if ctx.Err() == nil || pieces.err != err {
				t.Errorf("the error of the transfer is %v; want it stopped", pieces.err)
			}
		} else {
			err = j.receive(ctx, cancel, resp, 0)
		}
		if e, ok := errors.AsType[*Error](err); !ok || e.Temporary() || !errors.Is(err, os.ErrClosed) {
			t.Errorf("several connections %v: receive() = %v; want an error that is not temporary", several, err)
		}
		cancel(nil)
		p.discard()
	}
}
