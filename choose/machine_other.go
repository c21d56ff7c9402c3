//go:build !linux

package choose

import "time"

// processors and load have no source on this system.
type processors struct{}

func readProcessors() processors { return processors{} }

func (processors) since() (busy, stolen float64) { return -1, 0 }

func (processors) stolenFrom(processors, time.Duration) time.Duration { return 0 }

type load struct{}

func startLoad() load { return load{} }

func (load) since() (others, stolen float64) { return -1, 0 }

func ownCPU() time.Duration { return 0 }

func freeMemory() int64 { return 0 }
