package processes

import (
	"errors"
	"fmt"

	"concert/internal/frame"
	"concert/processes/internal/shm"
)

// # Mapped results
//
// The memory of a large result with a handle (see executor/mapped.go) passes
// from the worker to this process, and is not copied here.
//
//	worker: sealed file --> socket of shared values --> mapped here --> handle
//	        frame Result --> pipe of results
//
//  1. The worker writes the result to a file in memory, and seals the file. So
//     nothing can change or shrink the file, not even the worker.
//  2. The worker sends the file through the socket, and then the frame
//     through the pipe. So when the frame arrives, the file is in the
//     socket, even if the worker has died in between. The files are in the
//     same order as the frames.
//  3. The receiver takes the file from the socket, checks it, maps it, and closes
//     it. From then on, only the mapping keeps the memory.
//  4. The handle unmaps the memory.
//
// If a process is killed, the kernel closes its files and removes its mappings.
// A file in the socket is released when the socket is closed, so no memory
// remains. Each worker has its own socket, so no worker can replace the file of
// another one.

// mapResult takes the file of a result from the socket of the worker, maps
// the file, and stores the memory in the outcome. If the result is too
// large, mapResult only removes the file from the socket. If this process
// cannot map the file, the call fails with that error. If the worker has
// violated the protocol, mapResult returns an error.
func (w *worker) mapResult(v frame.Payload, to *outcome) error {
	if w.files == nil {
		return fmt.Errorf("%w: the file of a result, for which this worker has no socket", frame.ErrFrame)
	}
	to.value.Kind = v.Kind
	if !to.value.Mapped() {
		return fmt.Errorf("%w: a file with a result of the kind %d", frame.ErrFrame, v.Kind)
	}
	file, err := shm.TakeFile(w.files)
	switch {
	case errors.Is(err, shm.ErrNoDescriptor):
		to.err = fmt.Errorf("processes: %w", err)
		return nil
	case err != nil:
		return fmt.Errorf("%w: the file of a result: %w", frame.ErrFrame, err)
	case to.large > 0:
		go file.Close() // as in shm.MapResult
		return nil
	}
	to.value.Bytes, to.release, err = shm.MapResult(file, int(v.Span.Length))
	if errors.Is(err, shm.ErrUnsealed) {
		return fmt.Errorf("%w: %w", frame.ErrFrame, err)
	}
	if err != nil {
		to.err = fmt.Errorf("%w: %w", ErrMemory, err)
	}
	w.read.Add(int64(len(to.value.Bytes)))
	return nil
}
