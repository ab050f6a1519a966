package jsonl

import "github.com/tcptrace/tcptrace/internal/event"

// writeContainer writes whose a socket is, where that is known.
func (w *Writer) writeContainer(c *event.Container) {
	if c == nil {
		return
	}
	o := &w.line
	o.openObject(keyContainer)
	o.optionalStr(keyID, c.ID)
	o.optionalStr(keyRuntime, c.Runtime)
	o.optionalStr(keyName, c.Name)
	o.optionalStr(keyUnit, c.Unit)
	if c.Pod != (event.Pod{}) {
		o.openObject(keyPod)
		o.optionalStr(keyUID, c.Pod.UID)
		o.optionalStr(keyName, c.Pod.Name)
		o.optionalStr(keyPodNamespace, c.Pod.Namespace)
		o.closeObject()
	}
	o.closeObject()
}

// container reads whose a socket is. Equal ones are one, as long as it is remembered.
func (v *values) container(raw []byte) *event.Container {
	if raw == nil {
		return nil
	}
	if c, ok := v.containers[string(raw)]; ok {
		return c
	}
	c := new(event.Container)
	v.object(raw, func(k key, value []byte) {
		switch k {
		case keyID:
			c.ID = v.string(value)
		case keyRuntime:
			c.Runtime = v.string(value)
		case keyName:
			c.Name = v.string(value)
		case keyUnit:
			c.Unit = v.string(value)
		case keyPod:
			v.pod(value, &c.Pod)
		}
	})
	if *c == (event.Container{}) || v.err != nil {
		return nil
	}
	return remember(&v.containers, raw, c)
}

func (v *values) pod(raw []byte, p *event.Pod) {
	v.object(raw, func(k key, value []byte) {
		switch k {
		case keyUID:
			p.UID = v.string(value)
		case keyName:
			p.Name = v.string(value)
		case keyPodNamespace:
			p.Namespace = v.string(value)
		}
	})
}
