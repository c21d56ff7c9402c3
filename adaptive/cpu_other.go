//go:build !unix

package adaptive

import "time"

// processCPU returns 0: the CPU time of this process is unknown here.
func processCPU() time.Duration { return 0 }
