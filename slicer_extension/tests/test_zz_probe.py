import time
pytest_plugins = ("scenes", "panels")
from PySide6.QtWidgets import QApplication
def test_x(rig, server, monkeypatch):
    from SALTVesselsLib.workflow import tools, correct, case, context
    from SALTVesselsLib.scene import clicks, box, segmentation
    from SALTVesselsLib import widget, pixels, qt_transport, calls
    def timed(owner, name):
        f=getattr(owner,name)
        def g(*a,**k):
            t=time.perf_counter(); c=time.thread_time()
            try: return f(*a,**k)
            finally:
                d=1000*(time.perf_counter()-t)
                if d>4: print(f"   {owner.__name__}.{name} {d:.0f} ms cpu {1000*(time.thread_time()-c):.0f}")
        monkeypatch.setattr(owner,name,g)
    for o,n in ((tools.Tools,"_show_points"),(clicks.Clicks,"__init__"),(clicks.Clicks,"show"),(correct.Correct,"_send"),(correct.Correct,"_show_previous"),(case.Case,"show"),(case.Case,"coded"),(widget.Widget,"update"),(segmentation.Outlines,"put_frame"),(segmentation.Outlines,"show_previous"),(box.Box,"__init__"),(box.Box,"show"),(tools.Tools,"_hold"),(calls.Caller,"ask"),(qt_transport._Ticket,"_finished"),(context.Context,"changed"),(tools.Tools,"_follow")):
        timed(o,n)
    rig.open(server.address,"gray")
    rig.ui.segmentButton.click(); rig.until(lambda: not rig.panel.segment.running)
    rig.ui.addTool.click()
    for k in range(3):
        print("PRESS"); t=time.perf_counter(); rig.press(20+k,30); print("pressed", 1000*(time.perf_counter()-t))
        while rig.panel.correct.busy:
            t=time.perf_counter(); QApplication.processEvents(); d=1000*(time.perf_counter()-t)
            if d>8: print("events", d)
    rig.ui.boxTool.click()
    print("DRAG"); t=time.perf_counter(); rig.drag((60, 60), (120, 110)); print("dragged", 1000*(time.perf_counter()-t))
    rig.idle()
    print("PAINT"); rig.ui.previousBox.click(); rig.ui.paintTool.click(); rig.brush.stroke((5,5))
    print("DENSITY"); rig.ui.densityButton.click(); rig.until(lambda: rig.panel.measure.words)
