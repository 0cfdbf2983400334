"""Qt as PythonQt presents it inside Slicer, on PySide6: all of Qt in one module, and properties as attributes.

    label.text = "x"; button.enabled; box.currentText       properties are attributes, never methods
    button.click(); box.addItem("x"); widget.layout()       everything else is a method
    button.connect("clicked()", f); timer.timeout.connect(f)

A name that does not exist is an error, read or written, and so are arguments by keyword. A signal's arguments that a
plain function does not take are left out, as PythonQt does it.

What differs and is not imitated: PythonQt converts values in its own ways (a `QVariant` of a number may come back as
another type) and chooses among overloads in its own order; it knows `Qt.AlignLeft`, not `Qt.AlignmentFlag.AlignLeft`,
which PySide6 has too; an object that Qt has deleted is falsy there; and widgets cannot be subclassed here.
"""

from __future__ import annotations

import inspect
import types
from collections.abc import Callable
from functools import partial
from typing import Any

from PySide6 import QtCore, QtGui, QtNetwork, QtUiTools, QtWidgets

_MODULES = (QtWidgets, QtGui, QtCore, QtNetwork)
_classes: dict[type, _ClassOfObjects] = {}


class _ClassOfObjects(type):
    """A class of `QObject`; its enumerations and static methods are attributes."""

    _real: type

    def __getattr__(cls, name: str) -> Any:
        return _presented(getattr(cls._real, name))

    def __call__(cls, *arguments: Any) -> Object:
        return wrapped(cls._real(*map(real, arguments)))

    def __instancecheck__(cls, instance: object) -> bool:
        return isinstance(real(instance), cls._real)


class Object(metaclass=_ClassOfObjects):
    """A `QObject`."""

    __slots__ = ("_object",)
    _real = QtCore.QObject
    _object: QtCore.QObject

    def __getattr__(self, name: str) -> Any:
        qobject, name = self._object, _property_name(name)
        if qobject.metaObject().indexOfProperty(name) >= 0:
            return wrapped(qobject.property(name))
        if name == "connect":
            return partial(_connect, qobject)
        attribute = getattr(qobject, name)
        return _Signal(qobject, name) if isinstance(attribute, QtCore.SignalInstance) else _presented(attribute)

    def __setattr__(self, name: str, value: Any) -> None:
        qobject, name = self._object, _property_name(name)
        if qobject.metaObject().indexOfProperty(name) < 0:
            raise AttributeError(f"{type(qobject).__name__} has no property '{name}'")
        setter = getattr(qobject, f"set{name[0].upper()}{name[1:]}", None)
        if setter is not None:
            setter(real(value))
        elif not qobject.setProperty(name, real(value)):
            raise AttributeError(f"{type(qobject).__name__}.{name} cannot be set to {value!r}")

    def __eq__(self, other: object) -> bool:
        return self._object is real(other)

    def __hash__(self) -> int:
        return hash(self._object)

    def __repr__(self) -> str:
        return f"<{type(self._object).__name__} '{self._object.objectName()}'>"


class _Signal:
    """A signal as an attribute: it can be connected to, and emitted."""

    def __init__(self, sender: QtCore.QObject, name: str) -> None:
        self._sender, self._name = sender, name

    def connect(self, slot: Callable[..., object]) -> None:
        meta = self._sender.metaObject()
        methods = (meta.method(index) for index in range(meta.methodCount()))
        # Those without its optional arguments come after the whole one.
        whole = next(method for method in methods if method.name().data().decode() == self._name)
        _connect(self._sender, whole.methodSignature().data().decode(), slot)

    def emit(self, *arguments: Any) -> None:
        getattr(self._sender, self._name).emit(*map(real, arguments))


def _connect(sender: QtCore.QObject, signal: str, slot: Callable[..., object]) -> bool:
    signature = QtCore.QMetaObject.normalizedSignature(signal).data().decode()
    if sender.metaObject().indexOfSignal(signature) < 0:
        raise AttributeError(f"{type(sender).__name__} has no signal '{signal}'")
    return bool(QtCore.QObject.connect(sender, QtCore.SIGNAL(signal), _receiver(slot)))


def wrapped(value: Any) -> Any:
    """Return a value of PySide6 as PythonQt presents it."""
    if isinstance(value, list):
        return [wrapped(item) for item in value]
    if not isinstance(value, QtCore.QObject):
        return value
    named = next(cls for cls in type(value).__mro__ if cls.__module__.startswith("PySide6"))
    instance = object.__new__(_class_of(named))
    object.__setattr__(instance, "_object", value)
    return instance


def real(value: Any) -> Any:
    """Return what PySide6 knows a value as."""
    if isinstance(value, list):
        return [real(item) for item in value]
    return object.__getattribute__(value, "_object") if type(type(value)) is _ClassOfObjects else value


def _class_of(cls: type) -> _ClassOfObjects:
    if cls not in _classes:
        _classes[cls] = _ClassOfObjects(cls.__name__, (Object,), {"_real": cls, "__slots__": ()})
    return _classes[cls]


def _property_name(name: str) -> str:
    # Slicer's PythonQt calls an object's name so too.
    return "objectName" if name == "name" else name


def _presented(attribute: Any) -> Any:
    if isinstance(attribute, type) or not callable(attribute):
        return wrapped(attribute)

    def method(*arguments: Any) -> Any:
        given = [_receiver(a) if isinstance(a, types.FunctionType | types.MethodType) else real(a) for a in arguments]
        return wrapped(attribute(*given))

    return method


def _receiver(slot: Callable[..., object]) -> Callable[..., object]:
    """Return a slot that gets objects wrapped, and of a signal's arguments no more than it takes."""
    most = None
    if isinstance(slot, types.FunctionType | types.MethodType):
        kinds = [parameter.kind for parameter in inspect.signature(slot).parameters.values()]
        if inspect.Parameter.VAR_POSITIONAL not in kinds:
            most = sum(kind is not inspect.Parameter.KEYWORD_ONLY for kind in kinds)

    def receive(*arguments: Any) -> None:
        slot(*[wrapped(argument) for argument in arguments][:most])

    return receive


class QUiLoader:
    """Loads a `.ui` file; widgets of ctk and Slicer come from the stand-ins."""

    def load(self, file: Object) -> Object:
        import ctk

        loader = _Loader()
        loader.made = ctk.WIDGETS
        return wrapped(loader.load(real(file)))


class _Loader(QtUiTools.QUiLoader):
    made: dict[str, type[QtWidgets.QWidget]]

    def createWidget(self, name: str, parent: Any = None, object_name: str = "") -> QtWidgets.QWidget:
        if name not in self.made:
            return super().createWidget(name, parent, object_name)
        widget = self.made[name](parent)
        widget.setObjectName(object_name)
        return widget


def __getattr__(name: str) -> Any:
    for module in _MODULES:
        if hasattr(module, name):
            found = getattr(module, name)
            return _class_of(found) if isinstance(found, type) and issubclass(found, QtCore.QObject) else found
    raise AttributeError(f"Qt has no '{name}'")
