package report

// SetLimit sets how many connections are kept.
func (r *Report) SetLimit(connections int) { r.limit = connections }
