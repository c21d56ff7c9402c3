package child

import (
	"concert/executor"
	"concert/internal/frame"
	"concert/processes/internal/shm"
)

// minMapped is the minimum size in bytes of a result that is mapped. A
// smaller result is copied, because the copy takes less time than the
// mapping.
const minMapped = 256 << 10

// giveAway gives the memory of a mapped result to the pool: it copies the
// bytes into a sealed file, sends the file through the socket of shared
// values, and sets p to the file. It reports false if the pool does not map
// such results, or if the file cannot be made. In these cases, the result
// must be sent in the usual way. The caller must write the frame with p to
// the pipe at once.
func (w *worker) giveAway(result executor.Encoded, p *frame.Payload) bool {
	if !result.Mapped() || len(result.Bytes) < minMapped || w.shared.socket == nil {
		return false
	}
	file, err := shm.Seal("concert-result", result.Bytes)
	if err != nil {
		return false
	}
	defer file.Close()
	if shm.SendFile(w.shared.socket, file) != nil {
		return false
	}
	p.File, p.Span, p.Bytes = true, frame.Span{Length: uint64(len(result.Bytes))}, nil
	return true
}
