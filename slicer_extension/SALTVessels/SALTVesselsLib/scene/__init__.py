"""Images, runs, outlines, clicks and charts as nodes of Slicer's scene: MRML and VTK only, no Qt.

What is here looks for the scene at `slicer.mrmlScene`, where the application puts it, and for nothing else of the
application: the same code works on any scene put there.
"""
