package loop

// op is a function that is given a coroutine's context, for messages; in a
// byte, as each coroutine has one.
type op uint8

const (
	opRun op = iota
	opWithGroup
	opWithCancel
	opWithTimeout
	opWithDeadline
	opShield
	opNow
	opCurrent
	opYield
	opSleep
	opAfter
	opBlock
	opOffload
	opTaskWait
	opFutureResult
	opEventWait
	opMutexLock
	opMutexTryLock
	opSemaphoreAcquire
	opCondWait
	opCondLock
	opQueuePut
	opQueueGet
	opPortal
	opConn
	opConnRead
	opConnWrite
	opServe
)

// String is the function's name.
func (o op) String() string { return opNames[o] }

var opNames = [...]string{
	opRun:              "Run",
	opWithGroup:        "WithGroup",
	opWithCancel:       "WithCancel",
	opWithTimeout:      "WithTimeout",
	opWithDeadline:     "WithDeadline",
	opShield:           "Shield",
	opNow:              "Now",
	opCurrent:          "Current",
	opYield:            "Yield",
	opSleep:            "Sleep",
	opAfter:            "Group.After",
	opBlock:            "Block",
	opOffload:          "Offload",
	opTaskWait:         "Task.Wait",
	opFutureResult:     "Future.Result",
	opEventWait:        "Event.Wait",
	opMutexLock:        "Mutex.Lock",
	opMutexTryLock:     "Mutex.TryLock",
	opSemaphoreAcquire: "Semaphore.Acquire",
	opCondWait:         "Cond.Wait",
	opCondLock:         "Cond.Wait for its lock",
	opQueuePut:         "Queue.Put",
	opQueueGet:         "Queue.Get",
	opPortal:           "Portal for its Close",
	opConn:             "Conn",
	opConnRead:         "Conn.Read",
	opConnWrite:        "Conn.Write",
	opServe:            "Serve",
}
