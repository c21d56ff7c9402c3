package download

import (
	"crypto/sha256"
	"encoding/binary"
	"io/fs"
	"net/url"
	"time"
)

// receipt describes a file that Get has completed. Get stores it in an extended
// attribute of the file. It is valid while the file has the recorded size and
// modification time. It has no URL, so it contains no secret.
type receipt struct {
	URL      [16]byte  // urlHash of the URL
	Path     [8]byte   // pathHash of the URL
	ETag     string    // the strong entity tag; empty if the server sent none
	Modified time.Time // the header Last-Modified, in seconds; zero if the server sent none
	Size     int64
	Time     int64 // the modification time of the file, in nanoseconds since 1970
}

// receiptName is the name of the extended attribute.
const receiptName = "user.concert.download"

// receiptFormat is the first byte of a receipt. It is not "{", the first byte
// of old receipts, which were JSON.
const receiptFormat = 2

// urlHash identifies a URL, with its query, in a receipt.
func urlHash(u *url.URL) (hash [16]byte) {
	sum := sha256.Sum256([]byte(u.String()))
	copy(hash[:], sum[:])
	return hash
}

// pathHash identifies a URL without its query, which may be a signature.
func pathHash(u *url.URL) (hash [8]byte) {
	path := *u
	path.RawQuery, path.ForceQuery = "", false
	sum := urlHash(&path)
	copy(hash[:], sum[:])
	return hash
}

// encode returns the receipt in few bytes: the format, the hashes, three
// numbers and the entity tag. If the receipt has at most 56 bytes, ext4 stores
// it in the inode of the file. A longer receipt needs its own block of 4 KiB.
// The entity tags of common servers are short enough for the inode.
func (r *receipt) encode() []byte {
	b := append([]byte{receiptFormat}, r.URL[:]...)
	b = append(b, r.Path[:]...)
	modified := r.Modified.Unix()
	b = binary.AppendVarint(b, modified)
	b = binary.AppendVarint(b, r.Size)
	// Get has set the time of the file to the time of the header, so the
	// difference is 0. If there was no header, the difference overflows. The
	// sum in decodeReceipt then overflows back to the right value.
	b = binary.AppendVarint(b, r.Time-modified*int64(time.Second))
	return append(b, r.ETag...)
}

// decodeReceipt returns nil if b is not a receipt.
func decodeReceipt(b []byte) *receipt {
	r := &receipt{}
	if len(b) == 0 || b[0] != receiptFormat {
		return nil
	}
	b = b[1:]
	if len(b) < len(r.URL)+len(r.Path) {
		return nil
	}
	b = b[copy(r.URL[:], b):]
	b = b[copy(r.Path[:], b):]
	var numbers [3]int64
	for i := range numbers {
		v, n := binary.Varint(b)
		if n <= 0 {
			return nil
		}
		numbers[i], b = v, b[n:]
	}
	r.Modified, r.Size, r.Time = time.Unix(numbers[0], 0).UTC(), numbers[1], numbers[2]+numbers[0]*int64(time.Second)
	r.ETag = string(b)
	return r
}

// writeReceipt stores the receipt of a complete part, which has the given
// modification time. It ignores errors: on a file system without extended
// attributes, the file has no receipt.
func (j *job) writeReceipt(p *part, modTime time.Time) {
	r := receipt{
		URL: urlHash(j.urls[0]), Path: pathHash(j.urls[0]), ETag: p.state.ETag, Modified: p.state.Modified,
		Size: p.size.Load(), Time: modTime.UnixNano(),
	}
	setAttribute(p.file, receiptName, r.encode())
}

// readReceipt returns the receipt of a file, or nil if the file has none, or
// has changed since Get completed it.
func readReceipt(path string, info fs.FileInfo) *receipt {
	r := decodeReceipt(getAttribute(path, receiptName))
	if r == nil || r.Size != info.Size() || r.Time != info.ModTime().UnixNano() {
		return nil
	}
	return r
}
