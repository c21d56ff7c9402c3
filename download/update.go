package download

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path"
	"slices"
	"strings"
)

// ErrImplausible is wrapped by the error of Get with Request.Update if the
// server sends an HTML page or an empty body, and the existing file is not such
// a file. Captive portals, login pages and broken servers send such replies
// with the status 200. The existing file stays.
var ErrImplausible = errors.New("download: not a plausible new version of the file")

// implausible is ErrImplausible with a reason.
type implausible string

// Error returns the reason.
func (e implausible) Error() string { return string(e) }

// Is reports whether target is ErrImplausible.
func (e implausible) Is(target error) bool { return target == ErrImplausible }

// checkPage returns an error if a reply is an HTML page, and the existing file
// is not. If the request has digests, they decide.
func (j *job) checkPage(s state) error {
	if len(j.Digests) > 0 || !strings.Contains(s.Type, "html") || j.known.info.Size() == 0 || isPage(j.path(j.Name)) {
		return nil
	}
	return implausible(fmt.Sprintf("the server sent a page of the type %s, as captive portals and login pages do, and the existing file is no such page; it stays", s.Type))
}

// checkEmpty returns an error if a complete part is empty, and the existing
// file is not.
func (j *job) checkEmpty() error {
	if len(j.Digests) > 0 || !j.Update || j.known == nil || j.known.info.Size() == 0 || j.part.size.Load() > 0 {
		return nil
	}
	return implausible(fmt.Sprintf("the server sent an empty file, and the existing file has %d bytes; it stays", j.known.info.Size()))
}

// pageSuffixes are the suffixes of files that are HTML or XML.
var pageSuffixes = []string{".html", ".htm", ".shtml", ".xhtml", ".xml"}

// isPage reports whether a file is HTML or XML, by its name or its first bytes.
func isPage(file string) bool {
	if slices.Contains(pageSuffixes, strings.ToLower(path.Ext(file))) {
		return true
	}
	f, err := os.Open(file)
	if err != nil {
		return false
	}
	defer f.Close()
	start := make([]byte, 512)
	n, _ := io.ReadFull(f, start)
	kind := http.DetectContentType(start[:n])
	return strings.Contains(kind, "html") || strings.Contains(kind, "xml")
}
