package resume

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"hash/crc32"
	"strconv"
)

// This file encodes and decodes the lines of a journal. The package comment has
// their format. A line without the correct checksum is damaged.

// A record is the decoded form of a line.
type record struct {
	key  Key
	ok   bool
	data []part
	info json.RawMessage // nil if there is no information
}

// A part is one of the data of a record. It is either inline or in the data
// file.
type part struct {
	inline []byte // not nil if the part is in the line
	place  place
}

// A place is the offset, the length and the checksum of data in the data file.
type place struct {
	offset, length int64
	sum            uint32
}

// within reports whether the place lies within a file of the given size.
func (p place) within(size int64) bool { return p.offset <= size && p.length <= size-p.offset }

const (
	keyStart  = `{"key":"`
	okStart   = `","ok":`
	dataStart = `,"data":[`
	infoStart = `,"info":`
	sumStart  = `,"sum":"`
	lineEnd   = `"}`
	sumSize   = len(sumStart) + 8 + len(lineEnd) // the size of the end of a line, which the checksum does not cover

	maxInline = 4 << 10  // maximum size of the data in the line of a record
	maxLine   = 16 << 20 // maximum size of a line
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

var errLine = errors.New("the line is damaged")

// appendLine appends the line of a record, with a line feed.
func appendLine(b []byte, r record) []byte {
	start := len(b)
	b = append(b, keyStart...)
	b = hex.AppendEncode(b, r.key[:])
	b = append(b, okStart...)
	b = strconv.AppendBool(b, r.ok)
	for i, p := range r.data {
		if i == 0 {
			b = append(b, dataStart...)
		} else {
			b = append(b, ',')
		}
		b = appendPart(b, p)
	}
	if len(r.data) > 0 {
		b = append(b, ']')
	}
	if r.info != nil {
		b = append(b, infoStart...)
		b = append(b, r.info...)
	}
	return appendSum(b, start)
}

// appendSum appends the checksum of b from start, and ends the line.
func appendSum(b []byte, start int) []byte {
	sum := crc32.Checksum(b[start:], castagnoli)
	b = append(b, sumStart...)
	b = appendHex(b, sum)
	return append(b, lineEnd+"\n"...)
}

func appendPart(b []byte, p part) []byte {
	if p.inline != nil {
		b = append(b, '"')
		b = base64.StdEncoding.AppendEncode(b, p.inline)
		return append(b, '"')
	}
	b = append(b, '[')
	b = strconv.AppendInt(b, p.place.offset, 10)
	b = append(b, ',')
	b = strconv.AppendInt(b, p.place.length, 10)
	b = append(b, `,"`...)
	b = appendHex(b, p.place.sum)
	return append(b, `"]`...)
}

func appendHex(b []byte, sum uint32) []byte {
	return hex.AppendEncode(b, []byte{byte(sum >> 24), byte(sum >> 16), byte(sum >> 8), byte(sum)})
}

// checkSum returns the part of a line before the checksum. The line must not
// have its line feed. It reports false if the checksum is wrong.
func checkSum(line []byte) (content []byte, ok bool) {
	n := len(line) - sumSize
	if n < 0 {
		return nil, false
	}
	var room [sumSize]byte
	want := append(room[:0], sumStart...)
	want = appendHex(want, crc32.Checksum(line[:n], castagnoli))
	want = append(want, lineEnd...)
	return line[:n], bytes.Equal(line[n:], want)
}

// parseLine decodes a line without its line feed. The result refers to the
// bytes of the line.
func parseLine(line []byte) (r record, err error) {
	b, ok := checkSum(line)
	if !ok {
		return r, errLine
	}
	if r.key, b, ok = parseKey(b); !ok {
		return r, errLine
	}
	if b, ok = bytes.CutPrefix(b, []byte("true")); ok {
		r.ok = true
	} else if b, ok = bytes.CutPrefix(b, []byte("false")); !ok {
		return r, errLine
	}
	if rest, ok := bytes.CutPrefix(b, []byte(dataStart)); ok {
		if r.data, b, ok = parseData(rest); !ok {
			return r, errLine
		}
	}
	if rest, ok := bytes.CutPrefix(b, []byte(infoStart)); ok && len(rest) > 0 {
		r.info, b = rest, nil
	}
	if len(b) > 0 {
		return r, errLine
	}
	return r, nil
}

// parseKey decodes the beginning of a line, up to the field ok. It returns the
// key and the rest of the line.
func parseKey(b []byte) (k Key, rest []byte, ok bool) {
	b, ok = bytes.CutPrefix(b, []byte(keyStart))
	if !ok || len(b) < 2*len(k) {
		return k, nil, false
	}
	if _, err := hex.Decode(k[:], b[:2*len(k)]); err != nil {
		return k, nil, false
	}
	rest, ok = bytes.CutPrefix(b[2*len(k):], []byte(okStart))
	return k, rest, ok
}

// parseData decodes the elements of the array of data, and its end.
func parseData(b []byte) (data []part, rest []byte, ok bool) {
	for {
		var p part
		if p, b, ok = parsePart(b); !ok || len(b) == 0 {
			return nil, nil, false
		}
		data = append(data, p)
		end := b[0]
		b = b[1:]
		if end == ']' {
			return data, b, true
		} else if end != ',' {
			return nil, nil, false
		}
	}
}

func parsePart(b []byte) (p part, rest []byte, ok bool) {
	if rest, ok := bytes.CutPrefix(b, []byte(`"`)); ok {
		text, rest, ok := bytes.Cut(rest, []byte(`"`))
		if !ok {
			return p, nil, false
		}
		inline, err := base64.StdEncoding.Strict().AppendDecode([]byte{}, text)
		return part{inline: inline}, rest, err == nil
	}
	if b, ok = bytes.CutPrefix(b, []byte("[")); !ok {
		return p, nil, false
	}
	if p.place.offset, b, ok = parseNumber(b); !ok {
		return p, nil, false
	}
	if p.place.length, b, ok = parseNumber(b); !ok {
		return p, nil, false
	}
	if len(b) < 8+3 || b[0] != '"' || b[9] != '"' || b[10] != ']' {
		return p, nil, false
	}
	sum, err := strconv.ParseUint(string(b[1:9]), 16, 32)
	p.place.sum = uint32(sum)
	return p, b[11:], err == nil
}

// parseNumber decodes a number that is not negative, and the comma behind it.
func parseNumber(b []byte) (n int64, rest []byte, ok bool) {
	comma := bytes.IndexByte(b[:min(len(b), 20)], ',')
	if comma < 0 {
		return 0, nil, false
	}
	u, err := strconv.ParseUint(string(b[:comma]), 10, 63)
	return int64(u), b[comma+1:], err == nil
}
