package download

import "errors"

// How an attempt continues a part:
//
//  1. tryOnce requests the bytes from resumeFrom on. With If-Range, the server
//     sends the whole file if it has another version.
//  2. accept checks the version and the range of the reply.
//  3. receive compares the first bytes of the reply with the last bytes of the
//     part. Then it appends the other bytes to the part.
//
// part_find.go finds the part of an earlier Get. pieces.go continues a part
// with holes. compare.go continues the comparison of an existing file.

// overlap is the number of bytes at the end of a part that are requested
// again, and compared. So Get does not continue a part that belongs to another
// file, or whose last bytes were damaged by a loss of power.
const overlap = 64 << 10

// maxRecheck is the maximum overlap if this Get itself has received the bytes
// from the same URL. An overlap is necessary also in this case, because a
// server may replace the file between two requests, and send the entity tag of
// the old one. The overlap is at most half of the bytes that the last attempt
// has received, and at least one byte. So the download makes progress as long
// as each connection brings at least two bytes.
const maxRecheck = 4 << 10

// setRecheck sets the number of bytes to compare in the next attempt, after an
// attempt that got n new bytes. After an attempt without new bytes, the overlap
// is halved. So a server that breaks each connection early cannot stop the
// download.
func (j *job) setRecheck(n int64) {
	if n > 0 {
		j.recheck = min(maxRecheck, (n+1)/2)
	} else {
		j.recheck = max(1, j.recheck/2)
	}
}

// errDamaged reports that the compared bytes of a part differ from the bytes of
// the server.
var errDamaged = errors.New("the partial file differs from the file of the server; the next attempt starts from the beginning")

// resumeFrom returns the first byte that the next attempt requests, and the
// validator for If-Range. The validator is empty if the attempt requests the
// whole file.
func (j *job) resumeFrom() (from int64, validator string) {
	version := j.version()
	if version == nil || j.partSize() == 0 || version.validator() == "" || j.whole {
		return 0, ""
	}
	switch p := j.part; {
	case p != nil && p.missing != nil:
		from = p.missing.start()
	case j.compared:
		from = max(0, j.partSize()-j.recheck)
	default:
		from = max(0, j.partSize()-overlap)
	}
	return from, version.validator()
}

// version returns the state of the version that a reply with a range must have.
// It returns nil before the first reply.
func (j *job) version() *state {
	switch {
	case j.part != nil:
		return &j.part.state
	case j.known != nil:
		return &j.known.version
	}
	return nil
}

// partSize returns the number of bytes that an attempt can continue. They are
// bytes of the part or, without a part, of the existing file that is compared.
func (j *job) partSize() int64 {
	switch {
	case j.part != nil:
		return j.part.received()
	case j.known != nil:
		return j.known.equal
	}
	return 0
}

// discardPart forgets the bytes that attempts could continue.
func (j *job) discardPart() {
	if j.known != nil {
		j.known.setVersion(state{})
	}
	if j.part != nil {
		j.part.discard()
		j.part, j.earlier, j.compared = nil, nil, false
	}
}
