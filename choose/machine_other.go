//go:build !linux

package choose

import "time"

// processors and use know nothing here.
type processors struct{}

func readProcessors() processors { return processors{} }

func (processors) since() (busy, stolen float64) { return -1, 0 }

func (processors) stolenFrom(processors, time.Duration) time.Duration { return 0 }

type use struct{}

func startOfUse() use { return use{} }

func (use) since() (others, stolen float64) { return -1, 0 }

func freeMemory() int64 { return 0 }
