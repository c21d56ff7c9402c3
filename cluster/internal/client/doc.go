// Package client is the client side of a cluster: it implements the Executor of
// package cluster.
//
//	Submit, Map                                          servers
//	   |
//	queue.go       a queue for each function
//	   | dispatch.go: calls for free slots, and a few in advance
//	   v
//	send.go        calls ------------ publish -------->  TaskStream
//	   | subscriber.go: Submits with one id share a call
//	   v
//	results.go     outcomes <-------- session.go ------  ResultStream, KeptStream
//	   |
//	future
//
// For each function, the client sends as many calls as there are slots. If
// calls take less than 100 ms, it sends more in advance: for each slot,
// enough calls for 20 ms of work, and at least one. See routeLocked.
//
// The other files: find_kept.go finds results of tasks with ids. reroute.go
// sends calls to other workers. cancel.go and close.go cancel calls. audit.go
// asks the servers about calls that have been outstanding for long.
// task_options.go has ids and retry options. for_tests.go is for tests.
//
// Package worker has the other side of a cluster. Neither package imports the
// other.
package client
