package download

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io/fs"
	"net/url"
	"time"
)

// receipt describes a file that Get has completed. Get stores it in an extended
// attribute of the file. It is valid while the file has the recorded size and
// modification time. It has no URL, so it contains no secret.
type receipt struct {
	URL      string    `json:"url"`               // urlHash of the URL
	Path     string    `json:"path,omitempty"`    // urlHash of the URL without its query
	ETag     string    `json:"etag,omitempty"`    // the strong entity tag; empty if the server sent none
	Modified time.Time `json:"modified,omitzero"` // the header Last-Modified
	Size     int64     `json:"size"`
	Time     int64     `json:"time"` // the modification time of the file, in nanoseconds since 1970
}

// receiptName is the name of the extended attribute.
const receiptName = "user.concert.download"

// urlHash identifies a URL, with its query, in a receipt.
func urlHash(u *url.URL) string {
	sum := sha256.Sum256([]byte(u.String()))
	return hex.EncodeToString(sum[:16])
}

// pathHash identifies a URL without its query, which may be a signature.
func pathHash(u *url.URL) string {
	path := *u
	path.RawQuery, path.ForceQuery = "", false
	return urlHash(&path)
}

// writeReceipt stores the receipt of a complete part, which has the given
// modification time. If the file system does not support extended attributes,
// the file has no receipt, which is no error.
func (j *job) writeReceipt(p *part, modTime time.Time) {
	b, err := json.Marshal(receipt{
		URL: urlHash(j.urls[0]), Path: pathHash(j.urls[0]), ETag: p.state.ETag, Modified: p.state.Modified,
		Size: p.size.Load(), Time: modTime.UnixNano(),
	})
	if err == nil {
		setAttribute(p.file, receiptName, b)
	}
}

// readReceipt returns the receipt of a file, or nil if the file has none, or
// has changed since Get completed it.
func readReceipt(path string, info fs.FileInfo) *receipt {
	b := getAttribute(path, receiptName)
	var r receipt
	if b == nil || json.Unmarshal(b, &r) != nil || r.Size != info.Size() || r.Time != info.ModTime().UnixNano() {
		return nil
	}
	return &r
}
