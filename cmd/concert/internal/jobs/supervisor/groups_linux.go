package supervisor

import "concert/cmd/concert/internal/jobs/cgroup"

// limit decides whether control groups or a shell set the limits of the jobs.
// It is called before the first job.
func (s *server) limit() {
	shellMemory := s.memory
	if s.setup.groups != "" {
		groupMemory := int64(0)
		if s.groupMemory {
			groupMemory, shellMemory = s.memory, 0
		}
		s.groups = cgroup.Open(s.setup.groups, groupMemory)
	}
	s.shell = limitCommand(shellMemory, s.cpu)
}

// takeGroupLocked gives a control group to a job. If no group can be made, the
// shell sets all limits from now on.
func (s *server) takeGroupLocked(j *job) {
	if s.groups == nil {
		return
	}
	var err error
	if j.group, err = s.groups.Take(); err != nil {
		s.groups, s.groupMemory = nil, false
		s.shell = limitCommand(s.memory, s.cpu)
	}
}

// releaseGroup releases the group of a job that could not start, so that
// another job can use the group.
func (s *server) releaseGroup(j *job) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.releaseGroupLocked(j)
}

// releaseGroupLocked records whether the memory limit ended a job, and
// releases the group of the job.
func (s *server) releaseGroupLocked(j *job) {
	if j.group == nil {
		return
	}
	if s.groupMemory && j.group.Exceeded() && j.ended.status != 0 {
		j.ended.flags |= exceedsMemory
	}
	if s.groups != nil {
		s.groups.Put(j.group)
	}
}

// killGroupLocked kills the processes that are left in the control group of a
// job whose command has ended. It does not kill them during the grace. It
// reports whether processes were left.
func (s *server) killGroupLocked(j *job) bool {
	if j.group == nil || j.group.IsEmpty() {
		return false
	}
	if !j.grace { // after a grace, its timer calls sweepLocked
		j.group.Kill()
		s.sweepSoonLocked()
	}
	return true
}

// ofGroupLocked returns the job in whose control group a process is, or nil.
func (s *server) ofGroupLocked(pid int) *job {
	if s.groups == nil {
		return nil
	}
	name := s.groups.Of(pid)
	for _, j := range s.jobs {
		if name != "" && j.group != nil && j.group.Name == name {
			return j
		}
	}
	return nil
}
