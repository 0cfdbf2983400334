"""A slice view of Slicer without a screen: its own managers draw, and a mouse can press."""

from __future__ import annotations

import numpy as np
import slicer
import vtk
from scenes import view
from vtk.util.numpy_support import vtk_to_numpy

MANAGERS = ("vtkMRMLSegmentationsDisplayableManager2D", "vtkMRMLMarkupsDisplayableManager")


class SliceView:
    """One of the views, drawn off screen; make it before what is to be seen is added to the scene."""

    def __init__(self, name: str = "Red", width: int = 400, height: int = 300) -> None:
        self.node = view(name)
        self.node.SetDimensions(width, height, 1)
        application = slicer.modules.application
        for module in ("Markups", "Segmentations"):
            logic = getattr(slicer.modules, module.lower()).logic()
            logic.SetMRMLApplicationLogic(application)
            application.SetModuleLogic(module, logic)
        self._logic = slicer.vtkMRMLSliceLogic()
        self._logic.SetMRMLApplicationLogic(application)
        self._logic.SetMRMLScene(slicer.mrmlScene)
        self._logic.SetSliceNode(self.node)
        logics = application.GetSliceLogics() or vtk.vtkCollection()
        logics.AddItem(self._logic)
        application.SetSliceLogics(logics)

        factory = slicer.vtkMRMLSliceViewDisplayableManagerFactory.GetInstance()
        factory.SetMRMLApplicationLogic(application)
        for manager in MANAGERS:
            if not factory.IsDisplayableManagerRegistered(manager):
                factory.RegisterDisplayableManager(manager)
        self._image, drawn = vtk.vtkRenderer(), vtk.vtkRenderer()
        drawn.SetLayer(1)
        self._window = vtk.vtkRenderWindow()
        self._window.SetOffScreenRendering(True)
        self._window.SetSize(width, height)
        self._window.SetNumberOfLayers(2)
        self._window.AddRenderer(self._image)
        self._window.AddRenderer(drawn)
        self.mouse = vtk.vtkGenericRenderWindowInteractor()
        self.mouse.SetRenderWindow(self._window)
        self.mouse.SetInteractorStyle(vtk.vtkInteractorStyleUser())
        self._managers = slicer.vtkMRMLDisplayableManagerGroup()
        self._managers.Initialize(factory, drawn)
        self._managers.SetMRMLDisplayableNode(self.node)
        self._style = slicer.vtkMRMLSliceViewInteractorStyle()
        self._style.SetInteractor(self.mouse)
        self._style.SetSliceLogic(self._logic)
        self._style.SetDisplayableManagers(self._managers)
        self.mouse.Initialize()

    def picture(self) -> np.ndarray:
        """Return what is seen, uint8, (rows, columns, 3)."""
        mapper = vtk.vtkImageMapper()
        mapper.SetColorWindow(255)
        mapper.SetColorLevel(127.5)
        mapper.SetInputConnection(self._logic.GetImageDataConnection())
        background = vtk.vtkActor2D()
        background.SetMapper(mapper)
        self._image.RemoveAllViewProps()
        self._image.AddViewProp(background)
        self._window.Render()
        grab = vtk.vtkWindowToImageFilter()
        grab.SetInput(self._window)
        grab.ReadFrontBufferOff()
        grab.Update()
        seen = grab.GetOutput()
        columns, rows, _ = seen.GetDimensions()
        return vtk_to_numpy(seen.GetPointData().GetScalars()).reshape(rows, columns, 3)[::-1].copy()
