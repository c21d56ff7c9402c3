// Package members keeps a list of the workers of a cluster, with their slots
// and their functions, for clients and inspectors. It receives the heartbeats
// and the capability sets of workers from the servers.
//
//	worker --heartbeat--> WorkerBucket     --\
//	worker --functions--> CapabilityBucket --+--> View.Watch --> Offers, Slots, Alive, Workers
package members
